"""Query strings: reading their fields, and making the links to other pages."""

import collections.abc
import csv
import datetime
import typing
import urllib.parse

from glance.api.settings import Settings
from glance.domain import errors
from glance.domain.image import UUID

# Each filter is a condition of the database query.
MAX_FIELDS = 100
# The largest number that the column for a size can have.
LARGEST_SIZE = 2**63 - 1
COMPARISONS = ('gt', 'gte', 'eq', 'neq', 'lt', 'lte')


class HasId(typing.Protocol):
    @property
    def id(self) -> str: ...


class Query:
    """The decoded fields of a query string, in their order."""

    def __init__(self, text: str) -> None:
        try:
            self._fields = urllib.parse.parse_qsl(
                text.encode('latin-1').decode(),
                keep_blank_values=True,
                errors='strict',
                max_num_fields=MAX_FIELDS,
            )
        except UnicodeError:
            raise errors.Invalid('The query string is not UTF-8.') from None
        except ValueError:
            raise errors.Invalid(f'The query string has more than {MAX_FIELDS} fields.') from None
        if any('\0' in name or '\0' in value for name, value in self._fields):
            raise errors.Invalid('The query string holds a NUL character.')

    @property
    def names(self) -> list[str]:
        """The names of the fields in their order, each once."""
        return list(dict(self._fields))

    def all(self, name: str) -> list[str]:
        """All values of a field that may be repeated."""
        return [value for given, value in self._fields if given == name]

    def one(self, name: str, default: typing.Any = None) -> typing.Any:
        """The value of a field. Raises Invalid if it is given more than once."""
        values = self.all(name)
        if len(values) > 1:
            raise errors.Invalid(f'"{name[:80]}" is given {len(values)} times.')
        return values[0] if values else default

    def choice(
        self, name: str, allowed: collections.abc.Collection[str], default: typing.Any = None
    ) -> typing.Any:
        """The value of a field that must be one of these. Raises Invalid if it is not."""
        value = self.one(name)
        if value is None:
            return default
        if value not in allowed:
            raise errors.Invalid(
                f'"{name}" must be one of {", ".join(allowed)}, not "{value[:80]}".'
            )
        return value

    def limit(self, settings: Settings) -> int:
        """The number of items on a page."""
        value = self._digits('limit')
        if value is None:
            return settings.page
        # int() refuses thousands of digits; no page is as large as 18 digits say.
        return settings.longest_page if len(value) > 18 else min(int(value), settings.longest_page)

    def marker(self) -> str | None:
        """The id of the last item of the page before, or None."""
        value = self.one('marker')
        if value is not None and not UUID.fullmatch(value):
            raise errors.Invalid(f'"marker" must be a UUID, not "{value[:80]}".')
        return typing.cast('str | None', value)

    def number(self, name: str, largest: int) -> int | None:
        """A whole number, or None."""
        value = self._digits(name)
        if value is None:
            return None
        if len(value) > 19 or int(value) > largest:
            raise errors.Invalid(f'"{name}" must not be larger than {largest}.')
        return int(value)

    def _digits(self, name: str) -> str | None:
        value: str | None = self.one(name)
        if value is None:
            return None
        if not (value.isascii() and value.isdigit()):
            raise errors.Invalid(
                f'"{name}" must be a whole number, 0 or more, not "{value[:80]}".'
            )
        return value.lstrip('0') or '0'

    def links(
        self, path: str, items: collections.abc.Sequence[HasId], limit: int
    ) -> dict[str, str]:
        """The link "first" and, if this page is full, the link "next"."""
        kept = [field for field in self._fields if field[0] != 'marker']
        links = {'first': _url(path, kept)}
        if items and len(items) == limit:
            links['next'] = _url(path, [*kept, ('marker', items[-1].id)])
        return links


def parse_time(name: str, text: str) -> datetime.datetime:
    """A time in UTC. A time without a zone is taken as UTC. Raises Invalid."""
    try:
        parsed = datetime.datetime.fromisoformat(text)
        if parsed.tzinfo is None:
            parsed = parsed.replace(tzinfo=datetime.UTC)
        return parsed.astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        raise errors.Invalid(
            f'"{name}" must be a time such as 2026-01-31T12:00:00Z, not "{text[:80]}".'
        ) from None


def parse_comparison(text: str) -> tuple[str, str]:
    """("gt", rest) for "gt:rest"; ("eq", text) for a text without a comparison."""
    before, colon, rest = text.partition(':')
    return (before, rest) if colon and before in COMPARISONS else ('eq', text)


def parse_list(name: str, text: str) -> list[str]:
    """The values of a list such as a,b,"c,d". Raises Invalid."""
    try:
        return next(csv.reader([text], strict=True), None) or ['']
    except csv.Error:
        raise errors.Invalid(
            f'"{name}" must be a list such as in:a,b,"c,d"; a closing quote is missing.'
        ) from None


def _url(path: str, fields: list[tuple[str, str]]) -> str:
    return f'{path}?{urllib.parse.urlencode(fields)}' if fields else path
