"""The workers that can be heard at the message broker, as a table."""

import collections.abc
import dataclasses
import datetime
import time
import types
import typing

from glance.cmd import _log_masking
from glance.domain import errors
from glance.domain.remote_steps import Announcement, Message, Question
from glance.engine.worker_directory import WorkerDirectory
from glance.messaging import configured

LISTEN_TIME = 2.5  # seconds; each worker announces itself once a second, and when it is asked
ECHO_TIMEOUT = 5.0  # seconds for a message of this command to come back

HEADINGS = (
    *('HOST', 'NAME', 'TOPICS', 'TYPES', 'STORES', 'FREE'),
    *('VERSION', 'DEPLOYMENT', 'SEEN', 'USED'),
)


@dataclasses.dataclass
class _Heard:
    """The last announcement of a worker, and when it came."""

    announced: Announcement
    at: datetime.datetime


def lines(
    conf: typing.Any,
    deployment: str,
    folders: collections.abc.Mapping[str, str] = types.MappingProxyType({}),
) -> list[str]:
    """Ask all workers who they are, and return the table of those that answer.

    deployment  of the database of this configuration
    folders     by store, the id of its folder on this host

    Raises ConfigError if there are no workers to ask as configured, or no broker answers.
    """
    if not configured.is_worker_based(conf):
        raise errors.ConfigError(
            'There are no workers: they need [task] task_executor = taskflow and '
            '[taskflow_executor] engine_mode = worker-based, but these are '
            f'{conf.task.task_executor} and {conf.taskflow_executor.engine_mode}.'
        )
    options = conf.taskflow_workers
    directory = WorkerDirectory(
        configured.version(), deployment, options.topics, options.worker_timeout
    )
    directory.look_at_folders = lambda: folders
    directory.note_folders()
    heard = _ask(options)
    if not heard:
        return ['No worker has announced itself.']
    return table(heard, directory)


def _ask(options: typing.Any) -> list[_Heard]:
    """Listen for LISTEN_TIME seconds, after a question to all."""
    broker = configured.broker(options)
    try:
        with broker.connected():
            pass
    except Exception as error:  # kombu lets errors of many libraries pass
        reason = str(error) or type(error).__name__
        raise _unreachable(options, reason) from None
    from glance.messaging.link import Link  # imports kombu, which other commands do not need

    found: dict[str, _Heard] = {}

    def receive(message: Message) -> None:
        if isinstance(message, Announcement):
            found[message.worker] = _Heard(message, datetime.datetime.now(datetime.UTC))

    link = Link(broker, configured.process_name(), receive)
    link.start()
    try:
        if not link.wait_for_echo(ECHO_TIMEOUT):
            reason = f'no message came back within {ECHO_TIMEOUT:.0f} seconds'
            raise _unreachable(options, reason)
        link.send_to_all(Question())
        time.sleep(LISTEN_TIME)
        return list(found.values())
    finally:
        link.stop()


def _unreachable(options: typing.Any, reason: str) -> errors.ConfigError:
    return errors.ConfigError(
        f'The message broker {_log_masking.mask_text(options.address)} of [taskflow_workers] '
        f'cannot be reached: {reason.rstrip(".")}.'
    )


def table(heard: collections.abc.Iterable[_Heard], directory: WorkerDirectory) -> list[str]:
    """One line for each worker, below the headings; the columns are two spaces apart."""
    rows = [HEADINGS]
    for one in sorted(heard, key=lambda one: (one.announced.host, one.announced.worker)):
        worker = one.announced
        rows.append(
            (
                worker.host,
                worker.worker,
                ','.join(worker.topics) or '-',
                ','.join(f'{type_}:{version}' for type_, version in worker.types.items()) or '-',
                ','.join(worker.stores) or '-',
                f'{worker.free}/{worker.slots}',
                worker.version,
                worker.deployment,
                one.at.strftime('%Y-%m-%dT%H:%M:%SZ'),
                _used(worker, directory),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        '  '.join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _used(worker: Announcement, directory: WorkerDirectory) -> str:
    """Whether a worker is used, and why not."""
    reason = directory.obstacle(worker)
    if reason is not None:
        return f'no: {reason}'
    others = ', '.join(directory.other_folders(worker))
    return f'yes, but it has another folder for store {others}' if others else 'yes'
