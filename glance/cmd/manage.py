"""glance-manage: the database, tasks and workers, from the command line."""

from glance import threads

threads.use(threads.NATIVE)

import argparse
import collections.abc
import datetime
import json
import sys
import typing

from oslo_config import cfg

from glance import database
from glance.cmd import _files, _start, _worker_list
from glance.db import migrations, task_queue, task_repository
from glance.db.sessions import Database
from glance.domain import errors
from glance.domain.listing import Listing
from glance.domain.task import Status
from glance.folders import Folders

PROGRAM = 'glance-manage'
LARGEST_LIMIT = 1000000  # tasks in one list
PURGE_AT_ONCE = 1000  # tasks deleted in one transaction


def _parsers(subparsers: typing.Any) -> None:
    db = subparsers.add_parser('db', help='the tables').add_subparsers(required=True)
    for name, action, what in (
        ('sync', db_sync, 'migrate the tables to the newest version'),
        ('upgrade', db_sync, 'the same as sync'),
        ('version', db_version, 'show the version of the tables'),
        ('load_metadefs', db_load_metadefs, 'do nothing: there are no metadata definitions'),
    ):
        for parser in (
            db.add_parser(name, help=what),
            # As scripts of deployments spell it.
            subparsers.add_parser(f'db_{name}', help=f'the same as db {name}'),
        ):
            parser.set_defaults(action=action)
            if action is db_sync:
                parser.add_argument('version', nargs='?', default='head')
            elif action is db_load_metadefs:
                parser.add_argument('ignored', nargs='*')

    task = subparsers.add_parser('task', help='tasks').add_subparsers(required=True)
    listing = task.add_parser('list', help='list tasks, the newest first')
    listing.add_argument('--status', choices=[str(status) for status in Status])
    listing.add_argument('--limit', type=_positive, default=25)
    listing.set_defaults(action=task_list)
    show = task.add_parser('show', help='show one task as JSON')
    show.add_argument('task_id', type=_text)
    show.set_defaults(action=task_show)
    task.add_parser(
        'purge', help='delete ended tasks that are older than task_time_to_live'
    ).set_defaults(action=task_purge)

    worker = subparsers.add_parser('worker', help='workers').add_subparsers(required=True)
    worker.add_parser(
        'list', help='list the workers that can be heard, and why one is not used'
    ).set_defaults(action=worker_list)


COMMAND = cfg.SubCommandOpt('command', title='Commands', handler=_parsers)


def main(argv: collections.abc.Sequence[str] | None = None) -> int:
    try:
        with _start.errors_explained('The command'):
            arguments = _files.before_the_command(PROGRAM, argv)
            conf = _start.configure(PROGRAM, arguments, cli_opts=[COMMAND])
            opened = database.open_database(conf, Folders(conf), limited=False)
            with database.errors_named(opened, 'The database'):
                conf.command.action(conf, opened)
            return 0
    except errors.GlanceError as error:
        return _start.fail(PROGRAM, error)


def db_sync(conf: cfg.ConfigOpts, database: Database) -> None:
    if conf.command.version not in ('head', 'heads', migrations.HEAD):
        raise errors.ConfigError(
            f'The tables can be brought to the newest version only, which is {migrations.HEAD}, '
            f'and not to {conf.command.version}.'
        )
    before = migrations.sync(database.engine)
    print(f'The database is at version {migrations.HEAD} (it was at {before or "none"}).')


def db_version(conf: cfg.ConfigOpts, database: Database) -> None:
    print(migrations.version(database.engine) or 'none')


def db_load_metadefs(conf: cfg.ConfigOpts, database: Database) -> None:
    print('This service has no metadata definitions; nothing was loaded.')


def task_list(conf: cfg.ConfigOpts, database: Database) -> None:
    migrations.require_current(database.engine)
    filters = {'status': conf.command.status} if conf.command.status else {}
    for task in task_repository.SqlTaskRepository(database).page(
        Listing(conf.command.limit, filters=filters)
    ):
        print(f'{task.id}  {task.type:8}  {task.status:10}  {_time(task.created_at)}')


def task_show(conf: cfg.ConfigOpts, database: Database) -> None:
    migrations.require_current(database.engine)
    task = task_repository.SqlTaskRepository(database).get(conf.command.task_id)
    queue = task_queue.SqlTaskQueue(database, time_to_live=conf.task.task_time_to_live)
    print(
        json.dumps(
            {
                'id': task.id,
                'type': task.type,
                'status': task.status,
                'owner': task.owner,
                'image_id': task.image_id,
                'retry_of': task.retry_of,
                'request_id': task.request_id,
                'created_at': _time(task.created_at),
                'updated_at': _time(task.updated_at),
                'expires_at': _time(task.expires_at),
                'cancelled': task.cancelled,
                'cancelled_at': _time(task.cancelled_at),
                'cancelled_by': task.cancelled_by,
                'cancel_reason': task.cancel_reason,
                'message': task.message,
                'result': task.result,
                'input': task.input,
                'queue': queue.counts(task.id),
            },
            indent=2,
        )
    )


def task_purge(conf: cfg.ConfigOpts, database: Database) -> None:
    migrations.require_current(database.engine)
    repository = task_repository.SqlTaskRepository(database)
    total = 0
    while count := repository.purge(limit=PURGE_AT_ONCE):
        total += count
    repository.forget_keys()
    print(f'{total} tasks deleted.')


def worker_list(conf: cfg.ConfigOpts, database: Database) -> None:
    migrations.require_current(database.engine)
    queue = task_queue.SqlTaskQueue(database, time_to_live=conf.task.task_time_to_live)
    folders = Folders(conf)
    found = {one.name: folders.id_of_store(one.name, makes=False) for one in folders.stores.stores}
    seen = {name: folder for name, folder in found.items() if folder is not None}
    for line in _worker_list.lines(conf, queue.deployment(), seen):
        print(line)


def _positive(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= LARGEST_LIMIT:
        raise argparse.ArgumentTypeError(f'must be a whole number from 1 to {LARGEST_LIMIT}')
    return int(text)


def _text(argument: str) -> str:
    if not argument.isprintable():
        raise argparse.ArgumentTypeError('must be text')
    return argument


def _time(time: datetime.datetime | None) -> str | None:
    return time.astimezone(datetime.UTC).strftime('%Y-%m-%dT%H:%M:%SZ') if time else None


if __name__ == '__main__':
    sys.exit(main())
