"""The images that a list shows, by visibility and by the filters of the query."""

import collections.abc
import datetime
import operator
import typing

import sqlalchemy as sa

from glance.db.models import image_properties, image_tags, images, naive
from glance.domain.image import VISIBLE_TO_ALL

_OPERATORS: dict[str, collections.abc.Callable[[typing.Any, typing.Any], typing.Any]] = {
    'gt': operator.gt,
    'gte': operator.ge,
    'eq': operator.eq,
    'neq': operator.ne,
    'lt': operator.lt,
    'lte': operator.le,
}


def at_time(
    column: sa.Column[datetime.datetime], comparison: str, time: datetime.datetime
) -> sa.ColumnElement[bool]:
    """The comparison of a column with a time.

    Clients see whole seconds, so a time without a fraction stands for its second.
    """
    begin = naive(time)
    if begin.microsecond or begin.replace(microsecond=0) == datetime.datetime.max.replace(
        microsecond=0
    ):
        return typing.cast('sa.ColumnElement[bool]', _OPERATORS[comparison](column, begin))
    end = begin + datetime.timedelta(seconds=1)
    within = sa.and_(column >= begin, column < end)
    return {
        'gt': column >= end,
        'gte': column >= begin,
        'eq': within,
        'neq': sa.not_(within),
        'lt': column < begin,
        'lte': column < end,
    }[comparison]


def visible_to(project: str) -> sa.ColumnElement[bool]:
    """Whether a project may see an image: is_visible() of glance/domain/image.py in SQL."""
    return sa.or_(images.c.owner == project, images.c.visibility.in_(VISIBLE_TO_ALL))


def filtered(
    statement: sa.Select[typing.Any],
    filters: collections.abc.Mapping[str, typing.Any],
    project: str | None,
) -> sa.Select[typing.Any]:
    """A statement with the filters of a Listing.

    'visibility'            a visibility, or 'all', which includes the community
                            images of other projects; without this filter a
                            list omits them
    'tag'                   a list of tags, all of which an image must have
    'size_min', 'size_max'  bytes
    'created_at', 'updated_at'  (comparison, aware datetime)

    project  the project that lists images; None: an administrator
    """
    filters = dict(filters)
    visibility = filters.pop('visibility', None)
    if visibility is None and project is not None:
        statement = statement.where(
            sa.or_(images.c.owner == project, images.c.visibility != 'community')
        )
    elif visibility not in (None, 'all'):
        statement = statement.where(images.c.visibility == visibility)
    for key, value in filters.items():
        statement = statement.where(*_conditions(key, value))
    return statement


def _conditions(key: str, value: typing.Any) -> list[sa.ColumnElement[bool]]:
    if key == 'tag':
        return [
            sa.exists().where(image_tags.c.image_id == images.c.id, image_tags.c.value == tag)
            for tag in value
        ]
    if key == 'properties':
        return [
            sa.exists().where(
                image_properties.c.image_id == images.c.id,
                image_properties.c.name == name,
                image_properties.c.value == wanted,
            )
            for name, wanted in value.items()
        ]
    if key == 'size_min':
        return [images.c.size >= value]
    if key == 'size_max':
        return [images.c.size <= value]
    column = images.c[key]
    if isinstance(value, tuple):
        return [at_time(column, *value)]
    return [column.in_(value) if isinstance(value, list) else column == value]
