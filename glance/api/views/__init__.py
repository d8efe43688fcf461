"""The JSON forms in which answers show things, one module per noun."""
