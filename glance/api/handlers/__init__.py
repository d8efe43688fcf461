"""One file per noun, one function per URL and method. See glance/api/routes.py."""
