"""glance-conductor: runs tasks, and serves no requests.

Any number of them may run on one database. Each is one process: [DEFAULT]
workers concerns glance-api only, as [task] conduct does.
"""

from glance import threads

threads.use(threads.GREEN)  # before anything that knows sockets is imported

import logging
import os
import signal
import sys

from oslo_service import opts as service_options

from glance import bootstrap
from glance.cmd import _signals, _start
from glance.domain import errors

LOG = logging.getLogger(__name__)

PROGRAM = 'glance-conductor'


def main(argv=None):
    try:
        conf = _start.configure(PROGRAM, argv)
        service_options.register_service_opts(conf)  # graceful_shutdown_timeout
        runner = _build(conf)
    except errors.ConfigError as error:
        return _start.fail(PROGRAM, error)
    _conduct(conf, runner)
    return 0


def _build(conf):
    bootstrap.executor_class(conf.task.task_executor)  # an unknown one ends the start here
    folders = bootstrap.Folders(conf)
    _start.say_where(conf, folders)
    _start.say_who(conf, 'this process; it serves no requests')
    bootstrap.prepare_database(conf, folders)
    return bootstrap.Runner(conf, folders, bootstrap.Parts(conf, folders))


def _conduct(conf, runner):
    """Run tasks until a signal says that it is enough."""
    _start.allow_files()  # each import holds a connection and a file
    signals = _signals.Signals()
    runner.start()
    LOG.info('Running tasks as process %s', os.getpid(), extra={'action': 'conducting'})
    while signals.next() == signal.SIGHUP and not _signals.in_a_terminal():
        _signals.reload(conf)
    signals.last(conf.graceful_shutdown_timeout)
    LOG.info('Stopping: no new tasks')
    runner.stop(_start.grace(conf))
    LOG.info('Stopped')


if __name__ == '__main__':
    sys.exit(main())
