"""The executors. They are loaded by their entry points, never by an import statement."""
