"""What must be true of database, stores, staging and logs once all tasks have ended."""

import collections
import contextlib
import hashlib
import json
import pathlib
import re

import sqlalchemy as sa

from . import history

MARKS = {'.deployment', '.area'}  # say whose folder it is, and which; they stay
EMPTIED = ('task_queue', 'logbooks', 'flowdetails', 'atomdetails', 'leftovers')
READ = ('tasks', 'task_info', 'images', 'image_locations', *EMPTIED)

_LINE = re.compile(r'^\S+ \S+ (\d+) [A-Z]+ (\S+) \[')
_BEGUN = re.compile(r'Task (\S+) (?:begun|goes on), claim (\d+)$')
_ENDED = re.compile(r'Task (\S+) ended: (\w+)')


def check(state, sources=None, *, database=None, log=None, hosts=None, deleted=()):
    """Every task has one end; no image without bytes, no bytes without image; nothing waits.

    state     the state folder of the deployment
    sources   address to the bytes it serves, or to a file of them: what each
              successful import must hold
    database  its URL, unless it is a file in the state folder
    log       where all processes wrote their log
    hosts     the state folders of the hosts, if the images in state are shared by several
    deleted   ids of the images that callers have deleted

    Returns {task id: (status, message, image id or None)}.
    """
    state = pathlib.Path(state)
    with reading(database or f'sqlite:///{state}/glance.sqlite') as connection:
        rows = {name: rows_of(connection, name) for name in READ}
        if history.is_kept(connection):
            _check_empty(rows)
            history.check(connection)
    _check_empty(rows)
    ends = _ends(rows)
    living = {row['id']: row for row in rows['images'] if not row['deleted']}
    made = [image for _status, _message, image in ends.values() if image]
    assert len(made) == len(set(made)), 'an image has two tasks'
    wrong = set(living) ^ (set(made) - set(deleted))
    assert not wrong, f'images without a successful task, or reverse: {wrong}'
    _check_bytes(state, living, rows['image_locations'])
    for host in hosts or [state]:
        left = _names(host / 'staging')
        assert left == set(), f'something is left in staging of {host.name}: {left}'
        assert not any((host / 'logbooks').glob('*')), 'something is left in logbooks'
    if sources is not None:
        _check_sources(rows['task_info'], ends, living, sources)
    if log is not None:
        _check_log(log.read_text(), {task_id: end[0] for task_id, end in ends.items()})
    return ends


@contextlib.contextmanager
def reading(database):
    """A connection that sees one moment of the database, for as long as it is used."""
    url = sa.make_url(database)
    options = {} if url.get_backend_name() == 'sqlite' else {'isolation_level': 'REPEATABLE READ'}
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool, **options)
    with engine.connect() as connection:
        if connection.dialect.name == 'sqlite':
            connection.exec_driver_sql('BEGIN')  # the driver sends none before it reads
        yield connection
    engine.dispose()


def rows_of(connection, table):
    """All rows of a table as dictionaries, in an order that does not change by itself."""
    if not sa.inspect(connection).has_table(table):
        return []
    found = connection.execute(sa.text(f'SELECT * FROM {table}')).mappings()
    return sorted((dict(row) for row in found), key=repr)


def _check_empty(rows):
    for name in EMPTIED:
        assert rows[name] == [], f'{name} holds what nobody needs: {rows[name]}'


def _ends(rows):
    ends = {}
    info = {row['task_id']: row for row in rows['task_info']}
    for task in rows['tasks']:
        assert task['status'] in ('success', 'failure'), task
        result = json.loads(info[task['id']]['result'] or 'null')
        assert (result is not None) == (task['status'] == 'success'), task
        assert bool(info[task['id']]['message']) == (task['status'] == 'failure'), info[task['id']]
        image = result and result['image_id']
        ends[task['id']] = task['status'], info[task['id']]['message'], image
    return ends


def _check_bytes(state, living, locations):
    named = set()
    for location in locations:
        assert location['status'] == 'active', location
        assert location['image_id'] in living, location
        path = pathlib.Path(location['value'].removeprefix('file://'))
        image = living[location['image_id']]
        assert image['status'] == 'active', image
        assert _sha512(path) == image['os_hash_value'], f'{path} holds other bytes'
        named.add(path)
    assert len(named) == len(living), 'an image has no bytes, or two copies'
    assert _names(state / 'images') == {path.name for path in named}, 'bytes without an image'


def _names(folder):
    return {path.name for path in folder.iterdir()} - MARKS


def _check_sources(infos, ends, living, sources):
    for info in infos:
        image = ends[info['task_id']][2]
        if image in living:
            source = sources[json.loads(info['input'])['import_from']]
            assert living[image]['os_hash_value'] == _sha512(source)


def _sha512(content):
    if isinstance(content, bytes):
        return hashlib.sha512(content).hexdigest()
    with open(content, 'rb') as file:
        return hashlib.file_digest(file, 'sha512').hexdigest()


def _check_log(text, statuses):
    """No claim was run twice, and what is said to have ended did so, and once.

    The line of an end may be missing: the process was killed before it.
    """
    runs = collections.Counter()
    said = collections.Counter()
    for line in text.splitlines():
        if not _LINE.match(line):
            continue
        assert ' CRITICAL ' not in line, line
        assert 'could not be undone' not in line, line
        if found := _BEGUN.search(line):
            runs[found.groups()] += 1
        if found := _ENDED.search(line):
            task_id, outcome = found.groups()
            said[task_id] += 1
            assert statuses.get(task_id) == outcome, line
    twice = [run for run, count in (runs + said).items() if count > 1]
    assert not twice, f'begun or ended twice: {twice}'
