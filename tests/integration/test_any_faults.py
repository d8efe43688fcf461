"""Whatever a source does, an import ends with exact bytes, or fails and leaves nothing.

hypothesis makes up what the sources do; the service, its sockets and its files are real.
"""

import hashlib
import os
import random

import hypothesis
import pytest
from hypothesis import strategies as st

from glance.testing.source_server import Answer, Raw, redirect

pytestmark = pytest.mark.once

SIZE = 3 * 2**20 // 2  # more than what is hashed where it is received
VERSIONS = [random.Random(seed).randbytes(SIZE + seed) for seed in range(3)]

cuts = st.sampled_from([0, 1, SIZE // 100, SIZE // 2, 2**20, SIZE - 1])
# What one request meets, as (kind, argument).
faults = st.one_of(
    st.tuples(st.sampled_from(['cut', 'reset', 'cut chunks', 'cut, no ranges']), cuts),
    st.tuples(st.just('stall'), cuts),
    st.tuples(st.just('status'), st.sampled_from([403, 408, 416, 429, 500, 503])),
    st.tuples(st.just('wrong range'), st.sampled_from(['begin', 'end', 'size', 'state', 'none'])),
    st.tuples(st.sampled_from(['hang up', 'gone', 'change', 'good', 'lie']), st.none()),
)
stories = st.fixed_dictionaries(
    {
        'mirrors': st.lists(st.lists(faults, max_size=5), min_size=1, max_size=3),
        'checksum': st.sampled_from([None, 'md5', 'sha256', 'sha512']),
        'recovers': st.booleans(),
    }
)


class Mirror:
    """A source with these faults, one for each request, and then none or the last for ever."""

    def __init__(self, faults, *, recovers):
        self.faults = list(faults)
        self.recovers = recovers
        self.version = 0
        self.may_lie = False

    def page(self, request):
        kind, argument = 'good', None
        if self.faults:
            is_last = len(self.faults) == 1 and not self.recovers
            kind, argument = self.faults[0] if is_last else self.faults.pop(0)
        begin = int(request.headers.get('range', 'bytes=0-')[6:-1])
        body = VERSIONS[self.version]
        tag = [('ETag', f'"{self.version}"')]
        match kind:
            case 'cut':
                return Answer(body, headers=tag, cut=argument)
            case 'reset':
                return Answer(body, headers=tag, cut=argument, reset=True)
            case 'cut chunks':
                return Answer(body, headers=tag, cut=argument, chunked=True)
            case 'cut, no ranges':
                return Answer(body, headers=tag, cut=argument, ranges=False)
            case 'stall':
                return Answer(body, headers=tag, cut=argument, stall=True)
            case 'status':
                return Answer(status=argument, headers=[('Retry-After', '31536000')])
            case 'wrong range' if begin:
                return self._wrong_range(argument, begin, body)
            case 'lie' if begin and self.may_lie:
                said = f'bytes {begin}-{len(body) - 1}/{len(body)}'
                return Answer([bytes(len(body) - begin)], 206, [*tag, ('Content-Range', said)])
            case 'hang up':
                return Raw(b'')
            case 'gone':
                return redirect('/nowhere')
            case 'change':
                self.version = (self.version + 1) % len(VERSIONS)
        return Answer(VERSIONS[self.version], headers=[('ETag', f'"{self.version}"')])

    def _wrong_range(self, wrong, begin, body):
        size = len(body)
        said = {
            'begin': f'bytes {begin + 1}-{size - 1}/{size}',
            'end': f'bytes {begin}-{size - 2}/{size}',
            'size': f'bytes {begin}-{size}/{size + 1}',
            'state': f'bytes {begin}-{size - 1}/{size}',
            'none': 'bytes */*',
        }[wrong]
        tag = '"other"' if wrong == 'state' else f'"{self.version}"'
        return Answer([body[begin:]], 206, [('ETag', tag), ('Content-Range', said)])


def run(service, web, story):
    """Import from these sources. Returns the task and what must be the bytes of the image."""
    sources = [Mirror(one, recovers=story['recovers']) for one in story['mirrors']]
    expected = VERSIONS
    given = {'import_from_format': 'raw', 'image_properties': {}, 'import_from': []}
    if story['checksum']:
        expected = VERSIONS[:1]
        digest = hashlib.new(story['checksum'], VERSIONS[0]).hexdigest()
        given['import_checksum'] = f'{story["checksum"]}:{digest}'
    web.pages.clear()
    for number, source in enumerate(sources):
        source.may_lie = story['checksum'] is not None
        web.pages[f'/{number}'] = source.page
        given['import_from'].append(f'{web.url}/{number}')
    task = service.ended(service.post({'type': 'import', 'input': given}).json['id'])
    return task, expected


@pytest.fixture(params=['taskflow-parallel', pytest.param('eventlet', marks=pytest.mark.soak)])
def quick(request, make_service):
    return make_service(
        request.param,
        import_filtering_opts={
            'read_timeout': 0.3,
            'retry_timeout': 0.5,
            'retry_delay': 0.01,
            'retry_delay_max': 0.02,
        },
    ).start()


def check(service, web, story):
    """Returns how the import ended."""
    task, expected = run(service, web, story)
    left = service.files()
    images = service.call('GET', '/v2/images').json['images']
    if task['status'] == 'failure':
        assert (left, images) == ([], []), task['message']
        assert task['message'].startswith(('http://127.0.0.1', 'None of the', 'The source '))
        return 'failure'
    image_id = task['result']['image_id']
    assert left == [f'images/{image_id}.1']
    body = service.call('GET', f'/v2/images/{image_id}/file').body
    assert body in expected
    assert images[0]['os_hash_value'] == hashlib.sha512(body).hexdigest()
    assert service.call('DELETE', f'/v2/images/{image_id}').status_int == 204
    assert service.files() == []
    return 'success'


def explore(service, web, examples):
    ends = set()

    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize='GLANCE_TEST_SEED' not in os.environ,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    )
    @hypothesis.given(stories)
    def one(story):
        ends.add(check(service, web, story))

    one()
    assert ends == {'success', 'failure'}


def test_any_faults_end_in_exact_bytes_or_leave_nothing(quick, web):
    explore(quick, web, 20)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_very_many_faults_end_in_exact_bytes_or_leave_nothing(quick, web):
    explore(quick, web, 1500)
