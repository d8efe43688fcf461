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


@pytest.mark.parametrize('missing', imports.REQUIRED)
def test_what_is_missing_is_named(missing):
    what = given()
    del what[missing]
    with pytest.raises(errors.Invalid, match=f'"input.{missing}" is missing'):
        parse(what)


@pytest.mark.parametrize(
    ('what', 'fact'),
    [
        (None, '"input" must be an object'),
        ([], '"input" must be an object'),
        (given(checksum='x'), '"input.checksum" is not known'),
        (given(import_from=7), '"input.import_from" must be'),
        (given(import_from=''), '"input.import_from" must be'),
        (given(import_from_format='floppy'), '"input.import_from_format" must be one of'),
        (given(import_from_format=None), '"input.import_from_format" must be one of'),
        (given(image_properties=[]), '"input.image_properties" must be an object'),
        (given(image_properties=None), '"input.image_properties" must be an object'),
        (given(image_properties={'disk_format': None}), 'must not be null'),
        (given(image_properties={'disk_format': 'qcow2'}), 'nothing is converted'),
    ],
)
def test_bad_input_is_named_with_the_fact(what, fact):
    with pytest.raises(errors.Invalid, match=fact):
        parse(what)


def test_the_owner_is_the_administrators_to_choose():
    what = given(image_properties={'owner': 'theirs'})
    assert parse(what).owner == 'theirs'
    with pytest.raises(errors.Forbidden, match='administrator'):
        parse(what, by=MEMBER)
