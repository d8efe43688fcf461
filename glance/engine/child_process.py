"""The child processes in which suspects run."""

import collections.abc
import contextlib
import errno
import fcntl
import os
import pathlib
import subprocess
import sys

from glance import threads
from glance.domain.suspects import SuspectGroup
from glance.engine.lease_holders import LeaseHolder

PROGRAM = 'glance.cmd.suspects'
LOCK = 'children.lock'  # in the run folder


class ChildProcess:
    """A child, seen from its parent. Its standard input ends when its parent does."""

    def __init__(self, process: subprocess.Popen[bytes], holder: LeaseHolder) -> None:
        self._process = process
        self._holder = holder
        self.pid = process.pid
        self.holder = holder.name

    def poll(self) -> int | None:
        return self._process.poll()

    def send_signal(self, number: int) -> None:
        self._process.send_signal(number)

    def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._holder.unlock()


class ChildProcesses:
    """Starts children with the Python and the kind of threads of this process.

    folder     the run folder
    arguments  of each child: they name the configuration files and the deployment
    """

    def __init__(self, folder: pathlib.Path, arguments: collections.abc.Sequence[str]) -> None:
        self._folder = folder
        self._arguments = arguments

    @contextlib.contextmanager
    def turn(self) -> collections.abc.Iterator[bool]:
        """Whether no other process of this run folder is about to start a child.

        Within the block none other is.
        """
        descriptor = os.open(self._folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            yield _locked(descriptor)
        finally:
            os.close(descriptor)

    def start(self, group: SuspectGroup) -> ChildProcess:
        holder = LeaseHolder.register(self._folder)
        try:
            process = subprocess.Popen(
                [
                    # Under uWSGI, sys.executable is not the Python of this environment.
                    os.path.join(sys.prefix, 'bin', 'python'),
                    *('-P', '-m', PROGRAM, *self._arguments),
                    *('--deaths', str(group.deaths), '--size', str(group.size)),
                    *('--holder', holder.name, '--descriptor', str(holder.descriptor)),
                ],
                stdin=subprocess.PIPE,
                pass_fds=[holder.descriptor],
                env=os.environ
                | {'GLANCE_THREADS': threads.GREEN if threads.is_green() else threads.NATIVE},
                # Signals of a terminal are for its parent, which passes them on.
                start_new_session=True,
            )
        except OSError:
            holder.release()
            raise
        return ChildProcess(process, holder)


def _locked(descriptor: int) -> bool:
    """Whether the file could be locked for this process."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        return False
    return True
