"""What the query string of a list asks for, one module per noun."""
