"""The service as an application of another WSGI server."""
