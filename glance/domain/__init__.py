"""The rules, in the standard library's words only."""
