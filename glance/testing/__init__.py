"""Fakes and contract suites: ours, and for authors of plug-ins."""
