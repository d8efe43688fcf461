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
        'import_from': ['http://a/b'],
        'import_checksum': None,
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


def test_mirrors_and_a_checksum_are_part_of_the_work():
    urls = ['http://a/b', 'http://c/d']
    work = parse(given(import_from=urls, import_checksum='md5:' + 'AB' * 16))
    assert (work.import_from, work.import_checksum) == (urls, 'md5:' + 'ab' * 16)


@pytest.mark.parametrize(
    ('checksum', 'fact'),
    [
        ('', 'must have the form ALGORITHM:DIGEST, as in "md5:...".'),
        ('ab' * 32, 'must have the form ALGORITHM:DIGEST, as in "md5:...".'),
        ('sha1:' + 'ab' * 20, 'must begin with one of sha256:, sha512:, md5:.'),
        ('SHA256:' + 'ab' * 32, 'must begin with one of sha256:, sha512:, md5:.'),
        (' sha256:' + 'ab' * 32, 'must begin with one of sha256:, sha512:, md5:.'),
        ('sha256:', 'must have 64 hexadecimal digits after "sha256:", not 0.'),
        ('sha256:' + 'a' * 63, 'must have 64 hexadecimal digits after "sha256:", not 63.'),
        ('md5:' + 'ab' * 16 + '\n', 'must have 32 hexadecimal digits after "md5:", not 33.'),
        ('sha512:' + 'xy' * 64, 'must have only hexadecimal digits after "sha512:".'),
        ('md5:' + '\uff11' * 32, 'must have only hexadecimal digits after "md5:".'),
    ],
)
def test_a_malformed_checksum_is_named_with_the_fact(checksum, fact):
    with pytest.raises(errors.Invalid) as raised:
        parse(given(import_checksum=checksum))
    assert str(raised.value) == f'"input.import_checksum" {fact}'


def test_the_work_of_a_task_from_before_mirrors_is_brought_up_to_date():
    old = parse(given()).as_dict()
    del old['import_checksum']
    old['import_from'] = 'http://a/b'
    new = imports.upgrade(dict(old), 1)
    assert new == old | {'import_from': ['http://a/b'], 'import_checksum': None}
