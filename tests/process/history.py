"""What became of each row, written down by triggers while it happens.

The checker reads it at the end: what a table holds then does not tell whether
something was written twice, or by somebody who had lost his lease.
"""

import collections

import sqlalchemy as sa

ENDS = ('success', 'failure')
# What becomes of an image and its location that a caller deletes. No run writes this.
DELETED = ('deleted', 'pending_delete')

# table, event, task id, value before, value after
_IMAGE = '(SELECT created_by_task FROM images WHERE id = {row}.image_id)'
EVENTS = (
    ('tasks', 'INSERT', 'NEW.id', 'NEW.retry_of', 'NEW.status'),
    ('tasks', 'UPDATE OF status', 'NEW.id', 'OLD.status', 'NEW.status'),
    ('tasks', 'UPDATE OF cancelled_at', 'NEW.id', 'OLD.cancelled_at', 'NEW.cancelled_at'),
    ('task_queue', 'INSERT', 'NEW.task_id', 'NULL', 'NEW.lease'),
    ('task_queue', 'UPDATE OF lease', 'NEW.task_id', 'OLD.lease', 'NEW.lease'),
    ('task_queue', 'UPDATE OF touched', 'NEW.task_id', 'NEW.touched', 'NEW.owner'),
    ('task_queue', 'UPDATE OF outcome', 'NEW.task_id', 'OLD.outcome', 'NEW.outcome'),
    ('task_queue', 'DELETE', 'OLD.task_id', 'OLD.lease', 'NULL'),
    ('images', 'INSERT', 'NEW.created_by_task', 'NULL', 'NEW.status'),
    ('images', 'UPDATE OF status', 'NEW.created_by_task', 'OLD.status', 'NEW.status'),
    ('images', 'DELETE', 'OLD.created_by_task', 'OLD.status', 'NULL'),
    ('image_locations', 'INSERT', _IMAGE.format(row='NEW'), 'NULL', 'NEW.status'),
    ('image_locations', 'UPDATE OF status', _IMAGE.format(row='NEW'), 'OLD.status', 'NEW.status'),
    ('image_locations', 'DELETE', _IMAGE.format(row='OLD'), 'OLD.status', 'NULL'),
    ('atomdetails', 'INSERT', 'NEW.parent_uuid', 'NULL', 'NEW.name'),
    ('leftovers', 'INSERT', 'NEW.task_id', 'NULL', 'NEW.address'),
)

# Numbers of processes come again in a long test, ports of their clients with them hardly.
_BACKEND = 'pg_backend_pid()::bigint * 65536 + coalesce(inet_client_port(), 0)'
# What tells one transaction, and one process's connection, from another.
_WHO = {
    'sqlite': ('NULL', 'NULL'),
    'postgresql': ('txid_current()', _BACKEND),
    'mysql': ('NULL', 'connection_id()'),
}
_NUMBER = {
    'sqlite': 'INTEGER PRIMARY KEY AUTOINCREMENT',
    'postgresql': 'BIGSERIAL',
    'mysql': 'BIGINT PRIMARY KEY AUTO_INCREMENT',
}


def keep(connection):
    """From now on write down what happens in this database."""
    dialect = connection.dialect.name
    connection.exec_driver_sql(
        f'CREATE TABLE test_history (number {_NUMBER[dialect]}, tx BIGINT, backend BIGINT,'
        ' place TEXT, event TEXT, task_id TEXT, old TEXT, new TEXT)'
    )
    tx, backend = _WHO[dialect]
    for count, (table, event, task, before, after) in enumerate(EVENTS):
        note = (
            'INSERT INTO test_history (tx, backend, place, event, task_id, old, new)'
            f" VALUES ({tx}, {backend}, '{table}', '{event}', {task}, {before}, {after});"
        )
        name = f'test_history_{count}'
        if dialect == 'mysql' and ' OF ' in event:  # it has no triggers of a column
            column = event.split()[-1]
            note = f'IF NOT OLD.{column} <=> NEW.{column} THEN {note} END IF;'
            event = 'UPDATE'
        when = f'CREATE TRIGGER {name} AFTER {event} ON {table} FOR EACH ROW'
        if dialect != 'postgresql':
            connection.exec_driver_sql(f'{when} BEGIN {note} END')
        else:
            connection.exec_driver_sql(
                f'CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS'
                f' $$ BEGIN {note} RETURN NULL; END $$'
            )
            connection.exec_driver_sql(f'{when} EXECUTE FUNCTION {name}()')


def is_kept(connection):
    return 'test_history' in sa.inspect(connection).get_table_names()


def check(connection):
    """Each task has one end, one holder at a time, and no write that is not its holder's."""
    every = connection.execute(sa.text('SELECT * FROM test_history ORDER BY number')).all()
    rows = [row for row in every if not _is_of_a_caller(row)]
    of_task = collections.defaultdict(list)
    for row in rows:
        if row.task_id is not None:
            of_task[row.task_id].append(row)
    for of_one in of_task.values():
        _check_task(of_one)
    _check_retries(rows)
    _check_fences(rows)
    _check_holders(rows)


def _is_of_a_caller(row):
    """Whether a caller cancels a task, or an image is deleted by a caller or for one."""
    if row.event == 'UPDATE OF touched':
        return float(row.old) == 0  # a suspect that is to be cancelled need not wait
    if row.place not in ('images', 'image_locations'):
        return False
    return row.new in DELETED or (row.place == 'image_locations' and row.old in DELETED)


def _check_task(rows):
    def changes(place, event):
        return [
            (row.old, row.new)
            for row in rows
            if (row.place, row.event) == (place, event) and row.old != row.new
        ]

    statuses = changes('tasks', 'UPDATE OF status')
    ends = [after for _before, after in statuses if after in ENDS]
    assert len(ends) == 1, f'a task has {len(ends)} ends: {rows}'
    assert statuses[-1][1] in ENDS, f'a task went on after its end: {rows}'
    claims = [int(after) for _before, after in changes('task_queue', 'UPDATE OF lease')]
    assert claims == list(range(1, len(claims) + 1)), f'claims are not counted by one: {rows}'
    outcomes = changes('task_queue', 'UPDATE OF outcome')
    # A task that no process has claimed is ended by the request that cancels it.
    assert len(outcomes) == bool(claims), f'not one outcome: {rows}'
    assert len(changes('task_queue', 'DELETE')) == 1, f'an entry went twice: {rows}'
    assert (rows[-1].place, rows[-1].event) == ('task_queue', 'DELETE'), (
        f'something was written after the entry was gone: {rows}'
    )
    cancels = changes('tasks', 'UPDATE OF cancelled_at')
    assert len(cancels) <= 1, f'a task was cancelled twice: {rows}'
    if cancels:
        assert ends == ['failure'], f'a cancelled task has succeeded: {rows}'
    shown = [after for _before, after in changes('images', 'UPDATE OF status')]
    assert shown.count('active') == ends.count('success'), f'an image was shown twice: {rows}'


def _check_retries(rows):
    """Only a task that has failed is repeated."""
    failed = set()
    for row in rows:
        if row.place == 'tasks' and row.new == 'failure':
            failed.add(row.task_id)
        elif (row.place, row.event) == ('tasks', 'INSERT') and row.old is not None:
            assert row.old in failed, f'a task that had not failed was repeated: {row}'


def _check_fences(rows):
    """Each write for a task that was claimed has the fence before it, in its own transaction."""
    claimed = {row.task_id for row in rows if row.event == 'UPDATE OF lease'}
    # Transaction to the tasks whose fence it has passed. Where none can be told from another,
    # it is what a connection has done since its last fence: of SQLite all, of MariaDB each.
    fenced = {}
    for row in rows:
        transaction = row.backend if row.tx is None else row.tx
        if (row.place, row.event) == ('task_queue', 'UPDATE OF touched'):
            if row.tx is None:
                fenced.pop(transaction, None)
            fenced.setdefault(transaction, set()).add(row.task_id)
        elif _is_of_a_run(row) and (row.place != 'tasks' or row.task_id in claimed):
            assert row.task_id in fenced.get(transaction, ()), f'a write without a fence: {row}'


def _is_of_a_run(row):
    if row.place == 'tasks':
        return row.new in ENDS
    return row.place != 'task_queue'


def _check_holders(rows):
    """No connection has written for two holders: a stopped process writes for nobody any more."""
    wrote_for = collections.defaultdict(set)
    for row in rows:
        if row.backend is not None and row.event == 'UPDATE OF touched':
            wrote_for[row.backend].add(row.new)
    for backend, holders in wrote_for.items():
        assert len(holders) == 1, f'connection {backend} wrote for {holders}'
