"""Signals, and the reading of the configuration that one of them asks for."""

import logging
import os
import signal
import sys

from oslo_config import cfg

from glance import threads

LOG = logging.getLogger(__name__)

HEARD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Signals:
    """What is sent to this process, one after another, for a main thread that waits for it.

    Until last() no signal of HEARD ends the process.
    """

    def __init__(self):
        # The interpreter writes the number of a signal there when it comes, in whatever thread.
        self._read, write = os.pipe()
        os.set_blocking(write, False)
        os.set_blocking(self._read, not threads.is_green())  # the hub waits where it is green
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in HEARD:
            signal.signal(number, _noted)

    def next(self):
        """Wait for a signal; returns its number."""
        return os.read(self._read, 1)[0]

    def last(self, timeout):
        """From now on another one ends the process at once, as so many seconds do (0: none)."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGALRM, _too_late)
        signal.alarm(timeout)


def _noted(_number, _frame):
    """The pipe has it."""


def _too_late(_number, _frame):
    message = b'It did not stop within graceful_shutdown_timeout, and is ended.\n'
    threads.original('os').write(2, message)  # a log may be locked by what was interrupted
    os._exit(1)


def reload(conf):
    """Read the configuration files again; False if they cannot be used, and changed nothing."""
    try:
        conf.mutate_config_files()
    except (cfg.Error, ValueError, OSError) as error:
        LOG.error(
            'The configuration stays as it was: %s', error, extra={'action': 'reload_refused'}
        )
        return False
    LOG.info('The configuration was read again', extra={'action': 'reloaded'})
    return True


def in_a_terminal():
    """Whether SIGHUP says that the terminal in whose foreground this runs has gone."""
    try:
        return os.getpgrp() == os.tcgetpgrp(sys.stdout.fileno())
    except OSError:
        return False
