"""What the input of an import must look like."""

import pytest

from glance.domain import errors, image, imports
from glance.domain.caller import Caller

LIMITS = image.Limits(
    container_formats=('bare',), disk_formats=('raw', 'qcow2'), property_quota=9, tag_quota=9
)
ADMIN = Caller('ours', is_admin=True)
MEMBER = Caller('ours')


def given(**changes):
    return {
        'import_from': 'http://a/b',
        'import_from_format': 'raw',
        'image_properties': {},
    } | changes


def parse(what, by=ADMIN):
    return imports.parse(what, LIMITS, by=by, store='here')


def test_the_work_is_plain_data_and_complete():
    work = parse(given(image_properties={'name': 'a'})).as_dict()
    image_id = work.pop('image_id')
    assert image.UUID.fullmatch(image_id)
    assert work == {
        'import_from': 'http://a/b',
        'owner': 'ours',
        'store': 'here',
        'properties': {
            'name': 'a',
            'disk_format': 'raw',
            'container_format': 'bare',
            'properties': {},
        },
    }


@pytest.mark.parametrize(
    ('what', 'fact'),
    [
        (given(import_from_format='floppy'), '"input.import_from_format" must be one of'),
        (given(image_properties={'disk_format': None}), 'must not be null'),
    ],
)
def test_bad_input_is_named_with_the_fact(what, fact):
    with pytest.raises(errors.Invalid, match=fact):
        parse(what)


@pytest.mark.parametrize(
    ('properties', 'disk_format'), [({'disk_format': 'raw'}, 'raw'), ({}, 'qcow2')]
)
def test_the_disk_format_may_differ_from_that_of_the_source(properties, disk_format):
    work = parse(given(import_from_format='qcow2', image_properties=properties))
    assert work.properties['disk_format'] == disk_format


def test_the_owner_is_the_administrators_to_choose():
    what = given(image_properties={'owner': 'theirs'})
    assert parse(what).owner == 'theirs'
    with pytest.raises(errors.Forbidden, match='administrator'):
        parse(what, by=MEMBER)
