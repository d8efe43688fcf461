"""What a caller may set of an image."""

import pytest

from glance.domain import errors, image

LIMITS = image.Limits(
    container_formats=('bare', 'ovf'), disk_formats=('raw', 'qcow2'), property_quota=2, tag_quota=2
)


def test_base_fields_and_free_properties_come_apart():
    assert image.validate_properties({'name': 'a', 'min_ram': 5, 'os_distro': 'x'}, LIMITS) == {
        'name': 'a',
        'min_ram': 5,
        'properties': {'os_distro': 'x'},
    }


@pytest.mark.parametrize('name', [*sorted(image.RESERVED), 'os_glance_import_task'])
def test_what_the_service_sets_is_forbidden(name):
    with pytest.raises(errors.Forbidden, match=f'"input.{name}"'):
        image.validate_properties({name: 'x'}, LIMITS, field='input')


@pytest.mark.parametrize(
    ('name', 'value', 'fact'),
    [
        ('name', 7, 'must be text, not a number'),
        ('name', 'x' * 256, 'longer than 255'),
        ('name', 'nul\0', 'cannot be stored'),
        ('name', 'half \ud800', 'cannot be stored'),
        ('visibility', 'secret', 'must be one of public, private, shared, community'),
        ('protected', 'yes', 'must be true or false'),
        ('protected', 1, 'must be true or false'),
        ('min_disk', -1, 'from 0 to'),
        ('min_disk', 2**31, 'from 0 to'),
        ('min_disk', True, 'must be a whole number'),
        ('min_ram', 1.5, 'must be a whole number'),
        ('disk_format', 'floppy', 'must be one of raw, qcow2'),
        ('disk_format', ['raw'], 'must be one of raw, qcow2'),
        ('container_format', {}, 'must be one of bare, ovf'),
        ('tags', 'a', 'must be a list'),
        ('tags', [1], 'must be text'),
        ('id', 'not-one', 'must be a UUID'),
        ('free', 3, 'must be text'),
        ('free', None, 'must be text, not null'),
        ('x' * 256, 'y', 'longer than 255'),
    ],
)
def test_a_malformed_value_is_named_with_the_fact(name, value, fact):
    with pytest.raises(errors.Invalid, match=fact) as caught:
        image.validate_properties({name: value}, LIMITS)
    assert f'"{name}"' in str(caught.value)


def test_an_id_has_one_spelling():
    upper = '0F1E2D3C-4B5A-6978-8796-A5B4C3D2E1F0'
    assert image.validate_properties({'id': upper}, LIMITS)['id'] == upper.lower()


def test_tags_are_a_set():
    assert image.validate_properties({'tags': ['b', 'a', 'b']}, LIMITS)['tags'] == ['a', 'b']


@pytest.mark.parametrize('given', [{'a': '1', 'b': '2', 'c': '3'}, {'tags': ['a', 'b', 'c']}])
def test_quotas_hold(given):
    with pytest.raises(errors.TooLarge, match=r'2 .* at most; 3 were given'):
        image.validate_properties(given, LIMITS)


def test_a_negative_quota_is_none():
    limits = image.Limits(('bare',), ('raw',), property_quota=-1, tag_quota=-1)
    assert (
        len(image.validate_properties({str(n): 'x' for n in range(500)}, limits)['properties'])
        == 500
    )


def test_every_status_has_its_row():
    assert set(image.NEXT) == set(image.Status)


@pytest.mark.parametrize(
    ('owner', 'visibility', 'project', 'visible'),
    [
        ('ours', 'private', 'ours', True),
        ('theirs', 'private', 'ours', False),
        ('theirs', 'shared', 'ours', False),
        ('theirs', 'public', 'ours', True),
        ('theirs', 'community', 'ours', True),
        (None, 'private', 'ours', False),
        ('theirs', 'private', None, True),  # an administrator
    ],
)
def test_a_project_sees_its_own_images_and_those_for_all(owner, visibility, project, visible):
    assert image.is_visible(owner, visibility, project) is visible
