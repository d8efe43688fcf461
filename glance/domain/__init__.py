"""The rules of the service. Uses only the standard library."""
