"""/v2/images: records and bytes."""

import datetime
import logging

import jsonschema
import pytest

from glance.domain import errors

IMAGE = '22222222-2222-4222-8222-222222222222'
OTHER = '33333333-3333-4333-8333-333333333333'
NOON = datetime.datetime(2026, 1, 31, 12, 0, tzinfo=datetime.UTC)
DATA = bytes(range(256)) * 4096  # 1 MiB: several pieces


def test_an_image_is_shown_with_its_properties_beside_the_rest(call, services):
    services.images.add(
        b'bits',
        name='cirros',
        disk_format='qcow2',
        container_format='bare',
        tags=['small'],
        checksum='c',
        os_hash_algo='sha512',
        os_hash_value='h',
        virtual_size=9,
        properties={'os_type': 'linux'},
        created_by_task='t',
    )
    assert call('GET', f'/v2/images/{IMAGE}').json == {
        'id': IMAGE,
        'name': 'cirros',
        'status': 'active',
        'visibility': 'shared',
        'owner': 'default',
        'protected': False,
        'os_hidden': False,
        'container_format': 'bare',
        'disk_format': 'qcow2',
        'min_disk': 0,
        'min_ram': 0,
        'size': 4,
        'virtual_size': 9,
        'checksum': 'c',
        'os_hash_algo': 'sha512',
        'os_hash_value': 'h',
        'created_at': '2026-01-31T12:00:00Z',
        'updated_at': '2026-01-31T12:00:00Z',
        'tags': ['small'],
        'os_type': 'linux',
        'self': f'/v2/images/{IMAGE}',
        'file': f'/v2/images/{IMAGE}/file',
        'schema': '/v2/schemas/image',
    }


@pytest.mark.parametrize('fields', [{}, {'name': 'n', 'size': 1, 'disk_format': 'raw'}])
def test_an_image_fits_its_schema(call, services, fields):
    services.images.add(**fields)
    schema = call('GET', '/v2/schemas/image').json
    jsonschema.validate(call('GET', f'/v2/images/{IMAGE}').json, schema)
    listed = call('GET', '/v2/schemas/images').json
    assert listed['properties']['images']['items'] == schema


def test_the_schema_of_an_image_takes_free_properties_as_text(call):
    schema = call('GET', '/v2/schemas/image').json
    assert schema['additionalProperties'] == {'type': 'string'}
    assert [link['rel'] for link in schema['links']] == ['self', 'enclosure', 'describedby']


def test_formats_in_the_schema_are_those_of_the_operator(call, make_app):
    app = make_app(image_format__disk_formats=['raw', 'gpt'])
    schema = call('GET', '/v2/schemas/image', app=app).json
    assert schema['properties']['disk_format']['enum'] == [None, 'raw', 'gpt']


@pytest.mark.parametrize('name', ['member', 'members'])
def test_members_have_schemas_already(call, name):
    assert call('GET', f'/v2/schemas/{name}').json['name'] == name


@pytest.mark.parametrize('wrong', ['5', IMAGE[:-1], f'{IMAGE}%00', '%00', '%0a', 'x' * 5000])
@pytest.mark.parametrize('rest', ['', '/file', '/tasks', '/import', '/members'])
def test_what_is_no_uuid_names_no_image(call, wrong, rest):
    assert call('GET', f'/v2/images/{wrong}{rest}').status_int == 404


def test_an_image_that_is_not_there_is_not_found(call):
    for method, rest in (('GET', ''), ('DELETE', ''), ('GET', '/file')):
        assert call(method, f'/v2/images/{IMAGE}{rest}').status_int == 404


def test_deleting_is_answered_by_nothing_and_logged(call, services, caplog):
    caplog.set_level(logging.INFO, 'glance')
    services.images.add(b'bits')
    answer = call('DELETE', f'/v2/images/{IMAGE}')
    assert (answer.status_int, answer.body) == (204, b'')
    assert services.images.kept == {}
    assert [record.action for record in caplog.records] == ['image_deleted']


@pytest.mark.parametrize(
    ('error', 'status'),
    [(errors.Forbidden('It is protected.'), 403), (errors.Conflict('No.'), 409)],
)
def test_an_image_that_must_not_be_deleted_stays(call, services, error, status, caplog):
    caplog.set_level(logging.INFO, 'glance')
    services.images.add(b'bits')
    services.images.error = error
    assert call('DELETE', f'/v2/images/{IMAGE}').status_int == status
    assert caplog.records == []


def asked(call, services, query):
    """What the list asks the service for."""
    answer = call('GET', f'/v2/images?{query}')
    assert answer.status_int == 200, answer.text
    return services.images.listings[-1]


def test_a_list_without_wishes(call, services):
    services.images.add()
    answer = call('GET', '/v2/images')
    assert set(answer.json) == {'images', 'first', 'schema'}
    assert answer.json['images'][0]['id'] == IMAGE
    assert (answer.json['first'], answer.json['schema']) == ('/v2/images', '/v2/schemas/images')
    listing = services.images.listings[-1]
    assert (listing.limit, listing.marker, listing.sort, listing.filters) == (
        25,
        None,
        (('created_at', 'desc'),),
        {'os_hidden': False},
    )


@pytest.mark.parametrize(
    ('query', 'sort'),
    [
        ('sort_key=name', [('name', 'desc')]),
        ('sort_key=name&sort_key=size&sort_dir=asc', [('name', 'asc'), ('size', 'asc')]),
        (
            'sort_key=name&sort_key=size&sort_dir=asc&sort_dir=desc',
            [('name', 'asc'), ('size', 'desc')],
        ),
        ('sort_dir=asc', [('created_at', 'asc')]),
        ('sort=name:asc,size,id:desc', [('name', 'asc'), ('size', 'desc'), ('id', 'desc')]),
        ('sort=name:asc&sort=size', [('name', 'asc'), ('size', 'desc')]),
        ('sort=name:asc,size:asc,name:desc', [('name', 'asc'), ('size', 'asc')]),
        (
            'sort=status,container_format,disk_format,updated_at',
            [
                ('status', 'desc'),
                ('container_format', 'desc'),
                ('disk_format', 'desc'),
                ('updated_at', 'desc'),
            ],
        ),
    ],
)
def test_both_forms_of_sorting(call, services, query, sort):
    assert asked(call, services, query).sort == tuple(sort)


@pytest.mark.parametrize(
    ('query', 'filters'),
    [
        ('name=a', {'name': 'a'}),
        ('name=', {'name': ''}),
        ('name=a:b', {'name': 'a:b'}),
        ('name=eq:a', {'name': 'a'}),
        ('name=in:a,b,%22c,d%22', {'name': ['a', 'b', 'c,d']}),
        ('name=in:', {'name': ['']}),
        (
            'id=in:1,2&status=active&disk_format=raw&container_format=in:bare',
            {
                'id': ['1', '2'],
                'status': 'active',
                'disk_format': 'raw',
                'container_format': ['bare'],
            },
        ),
        ('owner=in:a', {'owner': 'in:a'}),
        (
            'checksum=c&os_hash_algo=sha512&os_hash_value=v',
            {'checksum': 'c', 'os_hash_algo': 'sha512', 'os_hash_value': 'v'},
        ),
        ('size=0&virtual_size=1', {'size': 0, 'virtual_size': 1}),
        ('min_disk=2147483647&min_ram=07', {'min_disk': 2**31 - 1, 'min_ram': 7}),
        ('visibility=public', {'visibility': 'public'}),
        ('visibility=all', {'visibility': 'all'}),
        ('member_status=all', {}),
        ('os_hidden=True', {'os_hidden': True}),
        ('os_hidden=false', {}),
        ('protected=true', {'protected': True}),
        ('protected=false', {'protected': False}),
        ('tag=a&tag=b', {'tag': ['a', 'b']}),
        ('size_min=0&size_max=9223372036854775807', {'size_min': 0, 'size_max': 2**63 - 1}),
        ('created_at=2026-01-31T12:00:00Z', {'created_at': ('eq', NOON)}),
        (
            'created_at=gte:2026-01-31T12:00:00Z&updated_at=neq:2026-01-31T12:00:00',
            {'created_at': ('gte', NOON), 'updated_at': ('neq', NOON)},
        ),
        ('os_type=linux&hw=', {'properties': {'os_type': 'linux', 'hw': ''}}),
        ('limit=1&sort_key=id&sort_dir=asc', {}),
    ],
)
def test_filters(call, services, query, filters):
    assert asked(call, services, query).filters == {'os_hidden': False} | filters


def test_no_base_field_of_an_image_passes_for_a_property(call, services):
    for name in call('GET', '/v2/schemas/image').json['properties']:
        answer = call('GET', f'/v2/images?{name}=1')
        properties = services.images.listings.pop().filters if answer.status_int == 200 else {}
        assert 'properties' not in properties, name


def test_who_filters_by_tags_is_told_how_to(call):
    answer = call('GET', '/v2/images?tags=x', headers={'Accept': 'application/json'})
    assert answer.status_int == 400
    assert answer.json['message'] == 'Images cannot be filtered by "tags"; use "tag" instead.'


@pytest.mark.parametrize(
    'query',
    [
        'limit=-1',
        'size=x',
        'virtual_size=-1',
        'min_ram=2147483648',
        'min_disk=1.5',
        'checksum=a&checksum=b',
        'locations=x',
        'os_glance_import_task=x',
        'limit=x',
        'marker=x',
        'marker=%00',
        'sort_key=colour',
        'sort_key=owner',
        'sort_dir=up',
        'sort=name:up',
        'sort=',
        'sort=,',
        'sort=name:',
        'sort=name&sort_key=id',
        'sort=name&sort_dir=asc',
        'sort_key=id,name',
        'sort_key=id&sort_dir=asc&sort_dir=desc',
        'sort_key=id&sort_key=name&sort_key=size&sort_dir=asc&sort_dir=desc',
        'visibility=secret',
        'visibility=',
        'member_status=maybe',
        'os_hidden=1',
        'os_hidden=',
        'protected=True',
        'protected=',
        'protected=1',
        'size_min=x',
        'size_min=-1',
        'size_max=9223372036854775808',
        'size_max=1' + '0' * 30,
        'size_min=' + '9' * 5000,
        'size_min=',
        'created_at=x',
        'created_at=gt:',
        'created_at=in:2026-01-31T12:00:00Z',
        'updated_at=lt:9999-12-31T23:59:59-10:00',
        'name=gt:a',
        'status=lte:active',
        'id=neq:x',
        'name=in:%22a',
        'name=in:a%0ab%22',
        'changes-since=2026-01-31T12:00:00Z',
        'name=a&name=b',
        'colour=a&colour=b',
        'name=%00',
        'colour=%00',
        '%00=1',
        'tag=%00',
        'name=in:%00',
        'name=%ff',
        'name=%ED%B0%80',
        'a=1&' * 100 + 'b=1',
        'name=in:' + 'x' * 140000,
    ],
)
def test_a_query_that_cannot_be_used_is_refused(call, services, query):
    answer = call('GET', f'/v2/images?{query}', headers={'Accept': 'application/json'})
    assert answer.status_int == 400
    assert answer.json['message'].endswith('.')
    assert len(answer.json['message']) < 300
    assert services.images.listings == []


def test_next_counts_images_before_policy_takes_some_out(call, make_app, services):
    services.images.add(owner='theirs')
    services.images.add(id=OTHER)
    app = make_app(policy='context_is_admin: "!"')
    answer = call('GET', '/v2/images?limit=2&visibility=all', app=app).json
    assert [image['id'] for image in answer['images']] == [OTHER]
    assert answer['next'] == f'/v2/images?limit=2&visibility=all&marker={OTHER}'


def download(call, headers=None, **parts):
    return call('GET', f'/v2/images/{IMAGE}/file', headers=headers or {}, **parts)


def test_a_download_gives_all_bytes(call, services):
    services.images.add(DATA, checksum='0123')
    answer = download(call)
    assert answer.status_int == 200
    assert answer.headers['Content-Type'] == 'application/octet-stream'
    assert answer.headers['Content-Length'] == str(len(DATA))
    assert answer.headers['Content-MD5'] == '0123'
    assert answer.body == DATA
    assert services.images.opened[0].closed


def test_a_download_comes_in_pieces(call, services):
    services.images.add(DATA)
    answer = download(call)
    sizes = [len(piece) for piece in answer.app_iter]
    assert sum(sizes) == len(DATA)
    assert max(sizes) <= 2**20


def test_a_download_that_is_given_up_closes_the_file(call, services):
    services.images.add(DATA)
    answer = download(call)
    next(iter(answer.app_iter))
    assert not services.images.opened[0].closed
    answer.app_iter.close()
    assert services.images.opened[0].closed


def test_an_empty_image_is_downloaded(call, services):
    services.images.add(b'')
    answer = download(call)
    assert (answer.status_int, answer.body, answer.content_length) == (200, b'', 0)


def test_an_image_without_bytes_has_no_content(call, services):
    services.images.add()
    answer = download(call)
    assert (answer.status_int, answer.body) == (204, b'')


@pytest.mark.parametrize(
    ('error', 'status'),
    [(errors.Forbidden('It is deactivated.'), 403), (errors.Unavailable('No store.'), 503)],
)
def test_bytes_that_cannot_be_had(call, services, error, status):
    services.images.add(b'bits')
    services.images.error = error
    assert download(call).status_int == status


def test_a_file_that_ends_too_early_breaks_the_connection(call, services):
    services.images.add(b'bits', size=9)
    answer = download(call)
    pieces = iter(answer.app_iter)
    assert next(pieces) == b'bits'
    with pytest.raises(OSError, match='ends 5 bytes before its size'):
        next(pieces)


def test_there_is_one_store_to_prefer(call, services):
    services.images.add(b'bits')
    assert call('GET', f'/v2/images/{IMAGE}/file?prefer=fast').status_int == 400


@pytest.mark.parametrize(
    ('wanted', 'first', 'last'),
    [
        ('bytes=0-3', 0, 3),
        ('bytes=9-9', 9, 9),
        ('bytes=4-', 4, 9),
        ('bytes=-3', 7, 9),
        ('bytes=-99', 0, 9),
        ('bytes=5-99', 5, 9),
        ('Bytes = 5-6, ', 5, 6),
        ('bytes=5-' + '9' * 90, 5, 9),
    ],
)
def test_a_range_gives_a_part(call, services, wanted, first, last):
    services.images.add(b'0123456789')
    answer = download(call, {'Range': wanted})
    assert answer.status_int == 206
    assert answer.headers['Content-Range'] == f'bytes {first}-{last}/10'
    assert answer.content_length == last - first + 1
    assert answer.body == b'0123456789'[first : last + 1]
    assert services.images.opened[0].closed


@pytest.mark.parametrize(
    'wanted',
    [
        *('bytes=0-1,3-4', 'bytes=10-11, -2', 'lines=0-1', 'x=y'),
        *('bytes=0-1,bytes=3-4', 'bytes=0-1, Bytes = 3-4', 'bytes=99-,lines=1-2'),  # two lines
    ],
)
def test_several_ranges_and_unknown_units_are_ignored(call, services, wanted):
    services.images.add(b'0123456789')
    answer = download(call, {'Range': wanted})
    assert (answer.status_int, answer.body) == (200, b'0123456789')


@pytest.mark.parametrize(
    ('wanted', 'status'),
    [
        ('bytes=0-1,x', 416),
        ('bytes=,', 416),
        ('=0-1', 416),
        ('bytes=0-1,3-2', 416),
        ('bytes=10-', 416),
        ('bytes=10-11', 416),
        ('bytes=-0', 416),
        ('bytes=-', 416),
        ('bytes=3-2', 416),
        ('bytes=x-y', 416),
        ('bytes', 416),
        ('bytes=1', 416),
        ('bytes=--1', 416),
        ('bytes=\xb2-\xb3', 416),
        ('bytes=' + '9' * 5000, 416),
        ('bytes=' + '9' * 5000 + '-', 416),
    ],
)
def test_a_range_that_cannot_be_given(call, services, wanted, status):
    services.images.add(b'0123456789')
    answer = download(call, {'Range': wanted})
    assert answer.status_int == status
    if status == 416:
        assert answer.headers['Content-Range'] == 'bytes */10'
    assert services.images.opened[0].closed


ETAG = 'ab' * 64
NO_DATES = [
    *('garbage', '', ' ', 'x GMT', '0 GMT', ',', '\xb2 GMT', '\x00', '1' * 5000, '"', 'W/', '*'),
    *('Thu, 26 Nov 10000 00:00:00 GMT', 'Thu, 99 Nov 2026 00:00:00 GMT'),
    *('Thu, 26 Nov 2026 99:00:00 GMT', 'Thu, 26 Nov 2026 00:00:00 +9999999'),
]


@pytest.mark.parametrize(
    'tag', [f'"{ETAG}"', f'W/"{ETAG}"', f'"x", "{ETAG}"', f',"x",,"{ETAG}" , ', '*']
)
def test_who_has_the_bytes_is_not_sent_them_again(call, services, tag):
    services.images.add(DATA, os_hash_value=ETAG, checksum='0123')
    answer = download(call, {'If-None-Match': tag, 'Range': 'bytes=0-1'})
    assert (answer.status_int, answer.body) == (304, b'')
    assert answer.headers['ETag'] == f'"{ETAG}"'
    assert 'Content-Type' not in answer.headers
    assert services.images.opened[0].closed


@pytest.mark.parametrize('tag', ['"other"', '"0123"', 'garbage', ''])
def test_who_has_other_bytes_is_sent_these(call, services, tag):
    services.images.add(DATA, os_hash_value=ETAG, checksum='0123')
    assert download(call, {'If-None-Match': tag}).body == DATA


NOON, BEFORE = 'Sat, 31 Jan 2026 12:00:00 GMT', 'Sat, 31 Jan 2026 11:59:59 GMT'


@pytest.mark.parametrize('method', ['GET', 'HEAD'])
@pytest.mark.parametrize(
    ('conditions', 'status'),
    [
        ({'If-Match': f'"{ETAG}"'}, 200),
        ({'If-Match': f', ,"x",,"{ETAG}",'}, 200),
        ({'If-Match': '*'}, 200),
        *(
            ({'If-Match': text}, 412)
            for text in ('"other"', f'W/"{ETAG}"', 'x', '', ',', '"', ETAG)
        ),
        ({'If-Unmodified-Since': NOON}, 200),
        ({'If-Unmodified-Since': BEFORE}, 412),
        *(({'If-Unmodified-Since': text}, 200) for text in NO_DATES),
        # The tag counts, not the date.
        ({'If-Match': f'"{ETAG}"', 'If-Unmodified-Since': BEFORE}, 200),
        ({'If-Match': '"other"', 'If-Unmodified-Since': NOON}, 412),
        # What must be is asked before what the caller has.
        ({'If-Match': '"other"', 'If-None-Match': '*'}, 412),
        ({'If-Match': '*', 'If-None-Match': '*'}, 304),
        ({'If-Unmodified-Since': BEFORE, 'If-Modified-Since': NOON}, 412),
        ({'If-None-Match': '"other"', 'If-Modified-Since': NOON}, 200),
        ({'If-Match': '"other"', 'Range': 'bytes=99-'}, 412),
    ],
)
def test_other_bytes_than_the_caller_wants_are_not_sent(
    call, services, method, conditions, status
):
    services.images.add(DATA, os_hash_value=ETAG, checksum='0123')
    answer = call(method, f'/v2/images/{IMAGE}/file', headers=conditions)
    assert answer.status_int == status
    assert services.images.opened[0].closed or status == 200


@pytest.mark.parametrize('tags', ['*', f'"{ETAG}"'])
def test_an_image_without_bytes_matches_no_tag(call, services, tags):
    services.images.add()
    assert download(call, {'If-Match': tags}).status_int == 412
    assert download(call, {'If-None-Match': tags}).status_int == 204
    assert download(call, {'If-Unmodified-Since': BEFORE}).status_int == 204


def test_without_a_hash_the_checksum_is_the_etag(call, services):
    services.images.add(DATA, checksum='0123')
    assert download(call).headers['ETag'] == '"0123"'


@pytest.mark.parametrize(
    ('since', 'status'),
    [
        ('Sat, 31 Jan 2026 12:00:00 GMT', 304),
        ('Sat, 31 Jan 2026 11:59:59 GMT', 200),
        ('yesterday', 200),
        ('Saturday, 31-Jan-26 12:00:00 GMT', 304),
        ('Sat Jan 31 12:00:00 2026', 304),
        *((text, 200) for text in NO_DATES),
    ],
)
def test_if_modified_since(call, services, since, status):
    services.images.add(DATA)
    answer = download(call, {'If-Modified-Since': since})
    assert answer.status_int == status
    assert answer.headers['Last-Modified'] == 'Sat, 31 Jan 2026 12:00:00 GMT'


@pytest.mark.parametrize(
    ('validator', 'status'),
    [
        (f'"{ETAG}"', 206),
        ('Sat, 31 Jan 2026 12:00:00 GMT', 206),
        ('"other"', 200),
        (f'W/"{ETAG}"', 200),
        ('Sat, 31 Jan 2026 11:00:00 GMT', 200),
        ('Sun, 01 Feb 2026 12:00:00 GMT', 200),
        *((text, 200) for text in NO_DATES),
    ],
)
def test_a_range_is_sent_if_the_bytes_are_those_of_if_range(call, services, validator, status):
    services.images.add(DATA, os_hash_value=ETAG)
    answer = download(call, {'If-Range': validator, 'Range': 'bytes=1-3'})
    assert answer.status_int == status
    assert answer.body == (DATA[1:4] if status == 206 else DATA)
    assert answer.headers['Accept-Ranges'] == 'bytes'


@pytest.mark.parametrize('size', [f'{len(DATA)}', '*'])
def test_content_range_is_how_old_clients_spell_range(call, services, size):
    services.images.add(DATA)
    answer = download(call, {'Content-Range': f'bytes 1-3/{size}'})
    assert (answer.status_int, answer.body) == (206, DATA[1:4])
    assert answer.headers['Content-Range'] == f'bytes 1-3/{len(DATA)}'


@pytest.mark.parametrize(
    'given', ['bytes 1-3', 'bytes=1-3', 'bytes */10', 'bytes 3-1/*', 'bytes x-3/*', 'items 1-3/*']
)
def test_a_content_range_that_cannot_be_satisfied(call, services, given):
    services.images.add(DATA)
    answer = download(call, {'Content-Range': given})
    assert answer.status_int == 416
    assert answer.headers['Content-Range'] == f'bytes */{len(DATA)}'


def test_head_says_all_but_the_bytes(call, services):
    services.images.add(DATA, os_hash_value=ETAG, checksum='0123')
    answer = call('HEAD', f'/v2/images/{IMAGE}/file', headers={'Range': 'bytes=0-1'})
    assert (answer.status_int, answer.body) == (200, b'')
    assert answer.headers['Content-Length'] == str(len(DATA))
    assert answer.headers['ETag'] == f'"{ETAG}"'
    assert services.images.opened[0].closed


class FileWrapper:
    """wsgi.file_wrapper as another server has it: it sends the whole file, as uWSGI does."""

    def __init__(self, file, block_size):
        self.file = file
        self.close = file.close

    def __iter__(self):
        return iter([b'by the server'])


def from_disk(services, tmp_path):
    path = tmp_path / 'stored'
    path.write_bytes(DATA)
    image = services.images.add(DATA)
    file = open(path, 'rb', buffering=0)  # noqa: SIM115 - the answer closes it
    services.images.open = lambda image_id, *, by: (image, file)
    return file


def test_a_server_that_sends_files_is_given_the_whole_file(call, services, tmp_path):
    file = from_disk(services, tmp_path)
    answer = download(call, environ={'wsgi.file_wrapper': FileWrapper})
    assert isinstance(answer.app_iter, FileWrapper)
    assert answer.app_iter.file.fileno() == file.fileno()
    assert answer.headers['Content-Length'] == str(len(DATA))
    answer.app_iter.close()
    assert file.closed


def test_a_part_is_not_left_to_a_server_that_sends_whole_files(call, services, tmp_path):
    file = from_disk(services, tmp_path)
    answer = download(call, {'Range': 'bytes=1-3'}, environ={'wsgi.file_wrapper': FileWrapper})
    assert answer.body == DATA[1:4]
    assert file.closed
