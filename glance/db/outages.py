"""Which errors of drivers mean that the database cannot be used now, and what they say."""

import logging
import re

from sqlalchemy import exc

from glance.domain import errors
from glance.domain.lease import Drop

LOG = logging.getLogger(__name__)
# oslo.db logs a traceback of each error that it does not know. Each is raised as well.
logging.getLogger('oslo_db.sqlalchemy.exc_filters').addFilter(lambda record: False)


def _is_of_interrupt(error: BaseException | None) -> bool:
    """Whether a run was interrupted amid a statement, which closes its connection."""
    return any(isinstance(one, errors.Cancelled | Drop) for one in errors.made_of(error))


def _without_traceback(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    record.exc_info = None
    return not _is_of_interrupt(error)


# The pool logs one of each connection that breaks while it is given back.
logging.getLogger('sqlalchemy.pool.impl.QueuePool').addFilter(_without_traceback)

# SQLSTATE of PostgreSQL for what is wrong with a database and not with this service: no rights,
# read-only, no such database, schema, table or column, no room, no server, no lock in time.
_OPERATORS = re.compile('42501|25006|3D000|3F000|42P01|42703|(08|53|54|55|57|58|XX)...')
# Errors of MariaDB and MySQL for the same, where the driver has no OperationalError.
_OPERATORS_NUMBERS = {1046, 1049, 1054, 1142, 1143, 1146, 1290}
_CHECK_FAILED = {3819, 4025}  # of MySQL and MariaDB, no IntegrityError of the driver

# A transaction failed because of another one, and would succeed if it were repeated: SQLSTATE of
# PostgreSQL, and errors of MariaDB and MySQL. 1020 is of innodb_snapshot_isolation. Not 1205: a
# lock that was waited for in vain is an outage, though oslo.db calls it a deadlock.
_CONFLICTS = {'40001', '40P01', 1020, 1213}


class Named:
    """Turns errors of the database into ours, after one log line; errors of a statement pass.

    An interrupt of a run says nothing about the database, so it has no line. A class, because
    each transaction enters it, and a generator costs twice as much.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind_of: object, error: BaseException | None, _trace: object) -> None:
        if not isinstance(error, Exception):
            return
        kind = _kind(error)
        if kind is None:
            return
        if not _is_of_interrupt(error):
            LOG.warning(
                'The database does not answer as it should: %s',
                reason(error),
                extra={'action': 'database_error'},
            )
        raise kind from error


def _kind(error: Exception) -> errors.DatabaseUnavailable | None:
    """What to raise for an error of SQLAlchemy or oslo.db. None: it is none of the database."""
    names = {cls.__name__ for cls in type(error).__mro__}
    inner = getattr(error, 'inner_exception', None) or error
    code, number = _codes(error)
    if isinstance(inner, exc.IntegrityError) or number in _CHECK_FAILED:
        return errors.WriteRefused()
    if _is_of_data(error):
        return None
    if (
        isinstance(inner, exc.OperationalError | exc.TimeoutError | exc.DisconnectionError)
        or type(inner) is exc.DatabaseError  # as of SQLite, if the file is none of a database
        or names & {'DBConnectionError', 'DBDeadlock'}
        or (code and _OPERATORS.fullmatch(code))
        or number in _OPERATORS_NUMBERS
    ):
        return errors.DatabaseUnavailable()
    return None


def is_unknown(error: Exception) -> bool:
    """Whether a database raised this, and it is neither an outage nor the fault of a value."""
    inner = getattr(error, 'inner_exception', None) or error
    return isinstance(inner, exc.DBAPIError) and not _is_of_data(error) and _kind(error) is None


def _is_of_data(error: Exception) -> bool:
    """Whether a value cannot be stored."""
    inner = getattr(error, 'inner_exception', None) or error
    names = {cls.__name__ for cls in type(error).__mro__}
    return isinstance(inner, exc.DataError) or 'DBDataError' in names


def is_conflict(error: BaseException) -> bool:
    """Whether a transaction failed because of another one, so that it can be repeated."""
    return not _CONFLICTS.isdisjoint(_codes(error))


def _codes(error: BaseException) -> tuple[str | None, object]:
    """The SQLSTATE that PostgreSQL gave, and the number that MariaDB or MySQL gave."""
    inner = getattr(error, 'inner_exception', None) or error
    if not isinstance(inner, exc.DBAPIError):
        return None, None
    original = _of_driver(error)
    return getattr(original, 'pgcode', None), next(iter(original.args), None)


def _of_driver(error: BaseException) -> BaseException:
    """What the driver raised; SQLAlchemy wraps it, and oslo.db once more."""
    inner = getattr(error, 'inner_exception', None) or error
    return getattr(inner, 'orig', None) or inner


def reason(error: BaseException) -> str:
    """What the driver says of an error, in one line. Values of a statement are left out."""
    said = re.split(r'\n(?:DETAIL|CONTEXT|LINE \d+):', str(_of_driver(error)))[0]
    return ' '.join(said.split())
