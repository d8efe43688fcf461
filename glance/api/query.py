"""Query strings: what lists take, and the links to their pages."""

import csv
import datetime
import urllib.parse

from glance.domain import errors
from glance.domain.image import UUID

MOST_FIELDS = 100  # each filter is a condition of the database query
LARGEST_SIZE = 2**63 - 1
COMPARISONS = ('gt', 'gte', 'eq', 'neq', 'lt', 'lte')


class Query:
    """The fields of a query string, decoded, in the order they came."""

    def __init__(self, text):
        try:
            self._fields = urllib.parse.parse_qsl(
                text.encode('latin-1').decode(),
                keep_blank_values=True,
                errors='strict',
                max_num_fields=MOST_FIELDS,
            )
        except UnicodeError:
            raise errors.Invalid('The query string is not UTF-8.') from None
        except ValueError:
            raise errors.Invalid(f'The query string has more than {MOST_FIELDS} fields.') from None
        if any('\0' in name or '\0' in value for name, value in self._fields):
            raise errors.Invalid('The query string holds a NUL character.')

    @property
    def names(self):
        """Each name once, in the order they came."""
        return list(dict(self._fields))

    def all(self, name):
        """All values of a field that may be repeated."""
        return [value for given, value in self._fields if given == name]

    def one(self, name, default=None):
        """The value of a field. Raises Invalid if it is given more than once."""
        values = self.all(name)
        if len(values) > 1:
            raise errors.Invalid(f'"{name[:80]}" is given {len(values)} times.')
        return values[0] if values else default

    def choice(self, name, allowed, default=None):
        """The value of a field that must be one of these."""
        value = self.one(name)
        if value is None:
            return default
        if value not in allowed:
            raise errors.Invalid(
                f'"{name}" must be one of {", ".join(allowed)}, not "{value[:80]}".'
            )
        return value

    def limit(self, settings):
        """How many items a page has."""
        value = self._digits('limit')
        if value is None:
            return settings.page
        # int() refuses what has thousands of digits; nobody needs more than a page has.
        return settings.longest_page if len(value) > 18 else min(int(value), settings.longest_page)

    def marker(self):
        """The id of the last item of the page before, or None."""
        value = self.one('marker')
        if value is not None and not UUID.fullmatch(value):
            raise errors.Invalid(f'"marker" must be a UUID, not "{value[:80]}".')
        return value

    def size(self, name):
        """A number of bytes, or None."""
        value = self._digits(name)
        if value is None:
            return None
        if len(value) > 19 or int(value) > LARGEST_SIZE:
            raise errors.Invalid(f'"{name}" must not be larger than {LARGEST_SIZE}.')
        return int(value)

    def _digits(self, name):
        value = self.one(name)
        if value is None:
            return None
        if not (value.isascii() and value.isdigit()):
            raise errors.Invalid(
                f'"{name}" must be a whole number, 0 or more, not "{value[:80]}".'
            )
        return value.lstrip('0') or '0'

    def links(self, path, items, limit):
        """The links "first" and, when this page is full, "next"."""
        kept = [field for field in self._fields if field[0] != 'marker']
        links = {'first': _url(path, kept)}
        if items and len(items) == limit:
            links['next'] = _url(path, [*kept, ('marker', items[-1].id)])
        return links


def time(name, text):
    """A time of the query, in UTC."""
    try:
        parsed = datetime.datetime.fromisoformat(text)
        if parsed.tzinfo is None:
            parsed = parsed.replace(tzinfo=datetime.UTC)
        return parsed.astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        raise errors.Invalid(
            f'"{name}" must be a time such as 2026-01-31T12:00:00Z, not "{text[:80]}".'
        ) from None


def comparison(text):
    """("gt", rest) for "gt:rest"; ("eq", text) where no comparison stands before it."""
    before, colon, rest = text.partition(':')
    return (before, rest) if colon and before in COMPARISONS else ('eq', text)


def listed(name, text):
    """The values of "a,b,"c,d""."""
    try:
        return next(csv.reader([text], strict=True), None) or ['']
    except csv.Error:
        raise errors.Invalid(
            f'"{name}" must be a list such as in:a,b,"c,d"; one in quotes does not end.'
        ) from None


def _url(path, fields):
    return f'{path}?{urllib.parse.urlencode(fields)}' if fields else path
