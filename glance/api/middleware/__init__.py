"""What happens to every request before its handler; see the pipeline in glance/api/app.py."""
