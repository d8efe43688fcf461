"""Pages of a list, by a marker and an index instead of OFFSET."""

import collections.abc
import typing

import sqlalchemy as sa

from glance.domain import errors
from glance.domain.listing import Listing

# (expression, 'asc' or 'desc', the marker's value of the expression)
_Order = tuple[sa.ColumnElement[typing.Any], str, typing.Any]


def paged(
    statement: sa.Select[typing.Any],
    table: sa.Table,
    listing: Listing,
    marker_row: collections.abc.Mapping[str, typing.Any] | None,
) -> sa.Select[typing.Any]:
    """A statement with the order, the marker and the limit of a listing.

    marker_row  the row of listing.marker, or None if there is no marker

    NULL sorts before all values, on every database.
    """
    keys = list(listing.sort)
    last = keys[-1][1] if keys else 'desc'
    named = {key for key, _direction in keys}
    keys += [(key, last) for key in ('created_at', 'id') if key not in named]
    order: list[_Order] = []
    for key, direction in keys:
        column = table.c[key]
        if column.nullable:
            order.append(
                (
                    sa.case((column.is_(None), 0), else_=1),
                    direction,
                    None if marker_row is None else int(marker_row[key] is not None),
                )
            )
        order.append((column, direction, None if marker_row is None else marker_row[key]))
    if marker_row is not None:
        statement = statement.where(_after(order))
    return statement.order_by(
        *(
            expression.asc() if direction == 'asc' else expression.desc()
            for expression, direction, _value in order
        )
    ).limit(listing.limit)


def _after(order: list[_Order]) -> sa.ColumnElement[bool]:
    """Whether a row follows the marker: (a > x) or (a = x and ((b > y) or ...))."""
    condition: sa.ColumnElement[bool] = sa.false()
    for expression, direction, value in reversed(order):
        if value is None:
            condition = sa.and_(expression.is_(None), condition)
            continue
        beyond = expression > value if direction == 'asc' else expression < value
        condition = sa.or_(beyond, sa.and_(expression == value, condition))
    return condition


def marker(
    connection: sa.Connection, table: sa.Table, listing: Listing, visible: sa.ColumnElement[bool]
) -> collections.abc.Mapping[str, typing.Any] | None:
    """The row of the marker, or None if there is no marker.

    Raises Invalid if the marker is not among the visible rows.
    """
    if listing.marker is None:
        return None
    row = (
        connection.execute(sa.select(table).where(table.c.id == listing.marker, visible))
        .mappings()
        .one_or_none()
    )
    if row is None:
        raise errors.Invalid(f'"marker" {listing.marker} is not an item of this list.')
    return typing.cast(collections.abc.Mapping[str, typing.Any], row)
