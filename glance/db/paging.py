"""Pages by marker over an index, never by OFFSET."""

import sqlalchemy as sa

from glance.domain import errors


def paged(statement, table, listing, marker_row):
    """The statement with order, marker and limit of a listing.

    marker_row  the row of listing.marker, or None if there is no marker

    NULL sorts before everything, on every database.
    """
    keys = list(listing.sort)
    last = keys[-1][1] if keys else 'desc'
    named = {key for key, _direction in keys}
    keys += [(key, last) for key in ('created_at', 'id') if key not in named]
    order = []
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


def _after(order):
    """Rows behind the marker: (a > x) or (a = x and ((b > y) or ...))."""
    condition = sa.false()
    for expression, direction, value in reversed(order):
        if value is None:
            condition = sa.and_(expression.is_(None), condition)
            continue
        beyond = expression > value if direction == 'asc' else expression < value
        condition = sa.or_(beyond, sa.and_(expression == value, condition))
    return condition


def marker(connection, table, listing, visible):
    """The row of the marker, as a mapping, or None without one. Raises Invalid."""
    if listing.marker is None:
        return None
    row = (
        connection.execute(sa.select(table).where(table.c.id == listing.marker, visible))
        .mappings()
        .one_or_none()
    )
    if row is None:
        raise errors.Invalid(f'"marker" {listing.marker} is not an item of this list.')
    return row
