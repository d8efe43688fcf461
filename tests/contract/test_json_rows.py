"""Rows in one parameter arrive as they were given, in each kind of database."""

import json

import sqlalchemy as sa

from glance.db import json_rows

COLUMNS = {'id': 'id', 'name': 'name', 'text': 'text', 'number': 'integer', 'at': 'time'}
GIVEN = [
    {
        'id': 'a' * 36,
        'name': 'é"\\\'%:x' * 36,
        'text': json.dumps({'message': 'ü\n"\0' * 9_000}),
        'number': 2**40,
        'at': '2026-11-28 04:50:28.262290',
    },
    {'id': '', 'name': '', 'text': '', 'number': 0, 'at': '2026-11-28 04:50:28.000000'},
    {'id': 'b', 'name': None, 'text': None},
    {'id': 'b', 'name': None, 'text': None},
]


def test_rows_arrive_as_they_were_given(database):
    engine = sa.create_engine(database)
    select = sa.text(json_rows.select(engine.dialect.name, COLUMNS))
    with engine.connect() as connection:
        found = connection.execute(select, {'rows': json.dumps(GIVEN)}).mappings().all()
    engine.dispose()
    expected = [{name: row.get(name) for name in COLUMNS} for row in GIVEN]
    assert [dict(row) | {'at': _text(row['at'])} for row in found] == expected


def _text(time):
    return time if time is None or isinstance(time, str) else time.isoformat(' ', 'microseconds')
