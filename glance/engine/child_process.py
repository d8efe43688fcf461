"""The child processes in which suspects run."""

import collections.abc
import os
import pathlib
import subprocess
import sys

from glance import threads
from glance.domain.suspects import SuspectGroup
from glance.engine.lease_holders import LeaseHolder

PROGRAM = 'glance.cmd.suspects'


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

    folder         the run folder
    configuration  the arguments that name the configuration files
    """

    def __init__(self, folder: pathlib.Path, configuration: collections.abc.Sequence[str]) -> None:
        self._folder = folder
        self._configuration = configuration

    def start(self, group: SuspectGroup) -> ChildProcess:
        holder = LeaseHolder.register(self._folder)
        try:
            process = subprocess.Popen(
                [
                    # Under uWSGI, sys.executable is not the Python of this environment.
                    os.path.join(sys.prefix, 'bin', 'python'),
                    *('-P', '-m', PROGRAM, *self._configuration),
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
