"""Whether a database server can serve this service: its version, its encoding, its writes."""

import sqlalchemy as sa

from glance.domain import errors

# The first versions that know SKIP LOCKED and the limits of a connection.
OLDEST = {'PostgreSQL': (9, 6), 'MariaDB': (10, 6), 'MySQL': (8, 0)}
ENCODINGS = {'PostgreSQL': ('UTF8',), 'MariaDB': ('utf8mb4',), 'MySQL': ('utf8mb4',)}

_ASK_POSTGRESQL = sa.text(
    "SELECT current_setting('server_encoding'), current_setting('transaction_read_only') = 'on'"
)
_ASK_MYSQL = sa.text('SELECT @@character_set_database, @@read_only')


def verify(engine: sa.Engine) -> None:
    """Raises ConfigError with one sentence if the server cannot be used. SQLite always can."""
    if engine.dialect.name == 'sqlite':
        return
    with engine.connect() as connection:  # the dialect knows the server once it is connected
        if engine.dialect.name == 'postgresql':
            kind, question = 'PostgreSQL', _ASK_POSTGRESQL
        else:
            is_mariadb = getattr(engine.dialect, 'is_mariadb', False)
            kind, question = 'MariaDB' if is_mariadb else 'MySQL', _ASK_MYSQL
        encoding, read_only = connection.execute(question).one()
    fault = fault_of(kind, engine.dialect.server_version_info or (), encoding, bool(read_only))
    if fault:
        raise errors.ConfigError(f'The database cannot be used: {fault}.')


def fault_of(kind: str, version: tuple[int | str, ...], encoding: str, read_only: bool) -> str:
    """What is wrong with a server; empty if nothing is."""
    oldest = OLDEST[kind]
    numbers = tuple(number for number in version if isinstance(number, int))
    if numbers < oldest:
        return (
            f'{kind} {_dotted(numbers)} is too old; this service needs {_dotted(oldest)} or newer'
        )
    if encoding not in ENCODINGS[kind]:
        return f'its encoding is {encoding}; create it with the encoding {ENCODINGS[kind][0]}'
    if read_only:
        return 'it is read-only'
    return ''


def _dotted(version: tuple[int, ...]) -> str:
    return '.'.join(map(str, version[:3]))
