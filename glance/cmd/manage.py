"""glance-manage: the database, and tasks, from the command line."""

from glance import threads

threads.use(threads.NATIVE)

import argparse
import datetime
import json
import sys

import sqlalchemy as sa
from oslo_config import cfg

from glance import bootstrap
from glance.cmd import _start
from glance.db import migrations, task_repository
from glance.domain import errors
from glance.domain.listing import Listing
from glance.domain.task import Status

PROGRAM = 'glance-manage'
PURGE_AT_ONCE = 1000


def _parsers(subparsers):
    db = subparsers.add_parser('db', help='the tables').add_subparsers(required=True)
    db.add_parser('sync', help='bring the tables to the newest version').set_defaults(
        action=db_sync
    )
    db.add_parser('version', help='show the version of the tables').set_defaults(action=db_version)

    task = subparsers.add_parser('task', help='tasks').add_subparsers(required=True)
    listing = task.add_parser('list', help='list tasks, the newest first')
    listing.add_argument('--status', choices=[str(status) for status in Status])
    listing.add_argument('--limit', type=_positive, default=25)
    listing.set_defaults(action=task_list)
    show = task.add_parser('show', help='show one task as JSON')
    show.add_argument('task_id')
    show.set_defaults(action=task_show)
    task.add_parser('purge', help='delete ended tasks whose time to live is over').set_defaults(
        action=task_purge
    )


COMMAND = cfg.SubCommandOpt('command', title='Commands', handler=_parsers)


def main(argv=None):
    try:
        conf = _start.configure(PROGRAM, argv, cli_opts=[COMMAND])
        folders = bootstrap.Folders(conf)
        database = bootstrap.open_database(conf, folders)
        try:
            return conf.command.action(conf, database) or 0
        except sa.exc.SQLAlchemyError as error:
            reason = getattr(error, 'orig', error)
            raise errors.ConfigError(f'The database cannot be used: {reason}') from None
        finally:
            database.close()
    except errors.GlanceError as error:
        return _start.fail(PROGRAM, error)


def db_sync(conf, database):
    before = migrations.sync(database.engine)
    print(f'The database is at version {migrations.HEAD} (it was at {before or "none"}).')


def db_version(conf, database):
    print(migrations.version(database.engine) or 'none')


def task_list(conf, database):
    migrations.check(database.engine)
    filters = {'status': conf.command.status} if conf.command.status else {}
    for task in task_repository.SqlTaskRepository(database).page(
        Listing(conf.command.limit, filters=filters)
    ):
        print(f'{task.id}  {task.type:8}  {task.status:10}  {_time(task.created_at)}')


def task_show(conf, database):
    migrations.check(database.engine)
    task = task_repository.SqlTaskRepository(database).get(conf.command.task_id)
    print(
        json.dumps(
            {
                'id': task.id,
                'type': task.type,
                'status': task.status,
                'owner': task.owner,
                'image_id': task.image_id,
                'request_id': task.request_id,
                'created_at': _time(task.created_at),
                'updated_at': _time(task.updated_at),
                'expires_at': _time(task.expires_at),
                'message': task.message,
                'result': task.result,
                'input': task.input,
            },
            indent=2,
        )
    )


def task_purge(conf, database):
    migrations.check(database.engine)
    repository = task_repository.SqlTaskRepository(database)
    total = 0
    while count := repository.purge(limit=PURGE_AT_ONCE):
        total += count
    print(f'{total} tasks deleted.')


def _positive(text):
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError('must be a whole number above 0')
    return int(text)


def _time(time):
    return time and time.astimezone(datetime.UTC).strftime('%Y-%m-%dT%H:%M:%SZ')


if __name__ == '__main__':
    sys.exit(main())
