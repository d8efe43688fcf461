"""Where image bytes end up."""
