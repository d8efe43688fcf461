"""What the errors of drivers mean."""

import logging

import pytest
from oslo_db import exception
from sqlalchemy import exc

from glance.db import outages
from glance.domain import errors


class Failed(Exception):
    """As a driver raises it."""

    pgcode = None


def of(kind, *args, pgcode=None):
    original = Failed(*args)
    original.pgcode = pgcode
    return kind('SELECT 1', {}, original)


def deadlock(number):
    return exception.DBDeadlock(of(exc.OperationalError, number, 'said'))


@pytest.mark.parametrize(
    ('error', 'is_conflict'),
    [
        (deadlock(1213), True),
        (deadlock(1205), False),  # a lock wait timeout, which oslo.db calls a deadlock
        (exception.DBDeadlock(of(exc.OperationalError, 'x', pgcode='40P01')), True),
        (of(exc.OperationalError, 'x', pgcode='40001'), True),
        (of(exc.OperationalError, 'x', pgcode='55P03'), False),
        (of(exc.OperationalError, 1020, 'Record has changed'), True),
        (ValueError(1213), False),
    ],
)
def test_what_is_repeated(error, is_conflict):
    assert outages.is_conflict(error) is is_conflict


@pytest.mark.parametrize(
    ('error', 'kind'),
    [
        (deadlock(1205), errors.DatabaseUnavailable),
        (of(exc.OperationalError, 'x', pgcode='55P03'), errors.DatabaseUnavailable),
        (of(exc.OperationalError, 1969, 'max_statement_time'), errors.DatabaseUnavailable),
        (of(exc.OperationalError, 1040, 'Too many connections'), errors.DatabaseUnavailable),
        (of(exc.ProgrammingError, 'x', pgcode='25006'), errors.DatabaseUnavailable),
        (exc.TimeoutError('all connections are in use'), errors.DatabaseUnavailable),
        (exc.IntegrityError('x', {}, Failed()), errors.WriteRefused),
    ],
)
def test_an_outage_is_one_line_of_the_log(error, kind, caplog):
    with pytest.raises(kind), outages.Named():
        raise error
    [line] = caplog.records
    assert line.exc_info is None


def test_an_interrupt_amid_a_statement_is_no_outage_in_the_log(caplog):
    interrupt, closed = errors.Cancelled(), of(exc.OperationalError, 'connection already closed')
    closed.__context__, interrupt.__cause__ = interrupt, closed  # it was raised again
    with pytest.raises(errors.DatabaseUnavailable), outages.Named():
        raise closed
    logging.getLogger('sqlalchemy.pool.impl.QueuePool').error('closed', exc_info=closed)
    assert caplog.records == []


@pytest.mark.parametrize(
    ('error', 'is_unknown'),
    [
        (of(exc.ProgrammingError, 'syntax error', pgcode='42601'), True),
        (of(exc.InternalError, 9999, 'new'), True),
        (of(exc.DataError, 1406, 'Data too long'), False),
        (exception.DBDataError(of(exc.OperationalError, 1366, 'Incorrect string value')), False),
        (of(exc.OperationalError, 'x', pgcode='55P03'), False),
        (ValueError('of a task'), False),
    ],
)
def test_an_unknown_error_is_one_of_the_database_and_not_of_a_value(error, is_unknown):
    assert outages.is_unknown(error) is is_unknown
