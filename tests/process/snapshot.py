"""All that a deployment holds at one moment, to be compared with a later one."""

import hashlib

import sqlalchemy as sa

from tests import folders

from . import checker


def snapshot(state, database):
    """{'rows': ..., 'files': ...}: equal to another one if nothing was written in between.

    Every row of every table. Of each image and staged file its name, inode,
    size, time and content; of each folder its name. Left out are the database's
    own files, whose rows are compared, and the run folder: there each process
    has the lock that says that it lives.
    """
    with checker.reading(database) as connection:
        rows = {
            table: checker.rows_of(connection, table)
            for table in sa.inspect(connection).get_table_names()
        }
    return {
        'rows': rows,
        'files': {
            str(path.relative_to(state)): _described(path)
            for folder in ('images', 'staging')
            for path in folders.below(state / folder)
        },
    }


def _described(path):
    if path.is_dir():
        return 'folder'
    is_ = path.stat()
    with path.open('rb') as file:
        return is_.st_ino, is_.st_size, is_.st_mtime_ns, hashlib.file_digest(file, 'md5').digest()
