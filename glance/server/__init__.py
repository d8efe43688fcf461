"""The HTTP server: sockets, signals, processes, sending files."""
