"""Which images a list shows: visibility, and the filters of the query."""

import operator

import sqlalchemy as sa

from glance.db.models import image_properties, image_tags, images, naive

_COMPARE = {
    'gt': operator.gt,
    'gte': operator.ge,
    'eq': operator.eq,
    'neq': operator.ne,
    'lt': operator.lt,
    'lte': operator.le,
}


def visible_to(project):
    """What a project may see: its own, and what is public or community."""
    return sa.or_(images.c.owner == project, images.c.visibility.in_(['public', 'community']))


def filtered(statement, filters, project):
    """The statement with the filters of a Listing.

    'visibility': 'all' includes community images of others, which a list
    without it leaves out; 'tag' is a list of tags that must all be there;
    'size_min', 'size_max' are bytes; times are (operator, aware datetime).
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


def _conditions(key, value):
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
        compare, time = value
        return [_COMPARE[compare](column, naive(time))]
    return [column.in_(value) if isinstance(value, list) else column == value]
