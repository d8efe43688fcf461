"""The forms in which answers show a time."""

import datetime


def zulu(time: datetime.datetime) -> str:
    """A time in whole seconds, with a Z for UTC: 2026-01-31T12:00:00Z."""
    return f'{time.replace(tzinfo=None).isoformat(timespec="seconds")}Z'


def precise(time: datetime.datetime) -> str:
    """A time in microseconds, with a Z for UTC: 2026-01-31T12:00:00.123456Z."""
    return f'{zoneless(time)}Z'


def zoneless(time: datetime.datetime | None) -> str | None:
    """A time in microseconds, without a zone: 2026-01-31T12:00:00.123456."""
    return None if time is None else time.replace(tzinfo=None).isoformat(timespec='microseconds')
