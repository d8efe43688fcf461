"""The commands: parse, bootstrap, run."""
