"""glance-api that kills itself: FAIL_POINT=name:n, at the n-th pass of the point of that name.

    python -m tests.process.fail_points --config-file ...

FAIL_POINT=name:n:STOP stops it there instead, until it gets SIGCONT; never amid a
transaction of another thread, for all that is stopped keeps the lock on SQLite's file,
and nobody could take over.

The points lie before and after each step, each undo, each remembering of a
step, the post, the claim, the putting of bytes into a store, the noting of a
failure, the request of a cancel, the commit and the two halves of tidying up. They are made here,
around what the service calls, so that it carries none of them itself; a new
step has its points at once.
"""

from glance import threads

if __name__ == '__main__':
    threads.use(threads.GREEN)  # before anything that knows sockets is imported

import functools
import gc
import os
import signal
import sys

from glance.db.logbook import SqlLogbook
from glance.db.sqlite import SqliteDatabase
from glance.db.task_queue import SqlTaskQueue
from glance.db.task_repository import SqlTaskRepository
from glance.engine.dir_logbook import DirLogbook
from glance.flows import import_image
from glance.image_data.staging import FolderStaging
from glance.stores.filesystem import FilesystemStore


def targets():
    """Progress name to (class, method)."""
    found = {
        'post': (SqlTaskRepository, 'add'),
        'claim': (SqlTaskQueue, 'claim'),
        'remember': (SqlLogbook, 'save'),
        'fail': (SqlTaskQueue, 'fail'),
        'cancel': (SqlTaskQueue, 'cancel'),
        'put': (FilesystemStore, 'add'),
        'commit': (SqlTaskQueue, 'finish'),
        'tidy-staging': (FolderStaging, 'remove'),
        'tidy-rows': (SqlTaskQueue, 'end'),
    }
    for step in import_image.STEPS:
        found[f'do-{step.name}'] = type(step), 'do'
        found[f'undo-{step.name}'] = type(step), 'undo'
    return found


def points():
    return [f'{when}-{name}' for name in targets() for when in ('before', 'after')]


class Killer:
    """Signals the process itself at the n-th pass of one point."""

    def __init__(self, point, number=1, signal_='KILL'):
        self._point = point
        self._left = int(number)
        self._signal = signal.Signals[f'SIG{signal_}']
        self._writes = threads.original('threading').Lock()
        self._posted = False  # a look at the queue before there is a task is no pass

    def wrapped(self, name, function):
        @functools.wraps(function)
        def passing(*args, **kwargs):
            self._posted = self._posted or name == 'post'
            self._pass(f'before-{name}')
            value = function(*args, **kwargs)
            if name != 'claim' or value:
                self._pass(f'after-{name}')
            return value

        return passing

    def _pass(self, point):
        if point == self._point and (self._posted or point != 'before-claim'):
            self._left -= 1
            if self._left == 0:
                self._signal_itself()

    def _signal_itself(self):
        if self._signal != signal.SIGSTOP:
            os.kill(os.getpid(), self._signal)
            return
        with self._writes:
            os.kill(os.getpid(), self._signal)

    def spared(self, commit):
        """The transactions of SQLite, amid none of which the process stops."""

        @functools.wraps(commit)
        def committing(*args):
            with self._writes:
                return commit(*args)

        return committing


def run(fail_point, arguments=None, program='api'):
    """Be one of the services, with or without a point at which it ends."""
    # They choose green threads, which a test may not want.
    from glance.cmd import api, conductor, worker

    if fail_point:
        killer = Killer(*fail_point.split(':'))
        for name, (owner, method) in targets().items():
            setattr(owner, method, killer.wrapped(name, getattr(owner, method)))
        SqliteDatabase._commit = killer.spared(SqliteDatabase._commit)
        # The other logbook, with [taskflow_executor] persistence = dir.
        DirLogbook.save = killer.wrapped('remember', DirLogbook.save)
    if program == 'conductor':
        gc.enable()  # to import glance-api disables it until that has started
        return conductor.main(arguments)
    if program == 'worker':
        gc.enable()
        return worker.main(arguments)
    return api.main(arguments)


if __name__ == '__main__':
    sys.exit(run(os.environ['FAIL_POINT']))
