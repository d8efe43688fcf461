"""Many rows as one parameter of a statement: a JSON list of objects.

For SQLAlchemy and the drivers, a parameter for each value takes much longer.
"""

import collections.abc
import typing

_READ: dict[str, tuple[str, str]] = {  # how a column is read, and the statement
    'sqlite': ("json_extract(value, '$.{name}') AS {name}", 'SELECT {} FROM json_each(:rows)'),
    'postgresql': (
        '{name} {type}',
        'SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS given({})',
    ),
    'mysql': (
        "{name} {type} PATH '$.{name}'",
        "SELECT * FROM JSON_TABLE(:rows, '$[*]' COLUMNS ({})) AS given",
    ),
}
_TYPES: dict[str, dict[str, str]] = {
    'id': {'postgresql': 'text', 'mysql': 'VARCHAR(36)'},
    'name': {'postgresql': 'text', 'mysql': 'VARCHAR(255)'},
    'text': {'postgresql': 'text', 'mysql': 'LONGTEXT'},
    'integer': {'postgresql': 'bigint', 'mysql': 'BIGINT'},
    'time': {'postgresql': 'timestamp', 'mysql': 'DATETIME(6)'},
}

Kind = typing.Literal['id', 'name', 'text', 'integer', 'time']


def select(dialect: str, columns: collections.abc.Mapping[str, Kind]) -> str:
    """A SELECT of these columns of the parameter "rows". What an object does not have is NULL.

    columns  name to kind; a time is a text as SQLite keeps it: YYYY-MM-DD HH:MM:SS.ffffff
    """
    column, statement = _READ[dialect]
    return statement.format(
        ', '.join(
            column.format(name=name, type=_TYPES[kind].get(dialect, ''))
            for name, kind in columns.items()
        )
    )
