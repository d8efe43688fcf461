"""For gunicorn --config: tasks run in each worker from its start to its end.

gunicorn --config examples/gunicorn.conf.py --bind 127.0.0.1:9292 --workers 2 --threads 8 \
    glance.wsgi.api:application
"""

worker_class = 'gthread'
graceful_timeout = 60  # seconds for requests that have begun


def post_worker_init(worker):
    """After the fork: begin to run tasks, not only at the first request."""
    from glance.wsgi.api import application

    application.start()


def worker_exit(server, worker):
    """Hand back what still runs, so that another worker goes on with it at once."""
    from glance.wsgi.api import application

    application.stop()
