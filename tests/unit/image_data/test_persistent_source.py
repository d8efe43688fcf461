"""A fetch that does not give up: which errors are retried, where it goes on, how it ends."""

import contextlib
import email.utils
import functools
import hashlib
import random
import re
import time

import pytest

from glance import native_threads
from glance.domain import errors
from glance.domain.checkpoint import Checkpoint
from glance.domain.checksum import Checksum
from glance.domain.fetch_limits import FetchLimits
from glance.domain.import_filter import ImportFilter
from glance.domain.lease import HandBack
from glance.image_data import persistent_source, retries, sources
from glance.image_data.persistent_source import PersistentSource
from glance.image_data.receiving import Receiver
from glance.testing.source_server import Answer, Raw, SourceServer, redirect

BODY = random.Random(1).randbytes(200_000)
CHANGED = random.Random(2).randbytes(150_000)
SIZE = len(BODY)
GOOD = Answer(BODY)  # has an ETag, and sends ranges
TAGGED = [('ETag', '"mine"')]


@pytest.fixture
def web():
    with SourceServer() as server:
        yield server


@pytest.fixture
def pool():
    made = native_threads.NativePool(3, 'bytes')
    yield made
    made.stop()


def in_turn(*pages):
    """A page that is another one for each request, and stays the last one."""
    left = list(pages)

    def page(request):
        chosen = left.pop(0) if len(left) > 1 else left[0]
        return chosen(request) if callable(chosen) else chosen

    return page


class Listener:
    """Notes what it is told; ends the fetch where the test says so."""

    def __init__(self, on_retry=lambda retry: None, on_pause=lambda: None):
        self.retries = []
        self.begun_again = []
        self._on_retry = on_retry
        self.on_pause = on_pause

    def on_wait(self):
        pass

    def on_retry(self, retry):
        self.retries.append(retry)
        self._on_retry(retry)

    def on_begin_again(self, source, received):
        self.begun_again.append(received)


class Names:
    """Resolves a name only when it has been asked often enough."""

    def __init__(self, host='', failures=0):
        self.host = host
        self.failures = failures

    def addresses(self, host, port):
        if host == self.host and not self.failures:
            return ['127.0.0.1']
        self.failures -= 1
        return []


@pytest.fixture
def fetch(web, pool, tmp_path):
    """fetch(*urls, ...): the bytes that the fetch receives; fetch.listener knows more."""

    def run(
        *urls,
        checksum=None,
        checkpoint=None,
        listener=None,
        names=None,
        allowed=('127.0.0.1', 'images.example'),
        ports=(),
        **limits,
    ):
        run.listener = listener or Listener()
        run.limits = FetchLimits(
            **{
                'size_cap': 10**7,
                'connect_timeout': 5,
                'read_timeout': 5,
                'tick': 0.01,
                'retry_timeout': 30,
                'retry_delay': 0.01,
                'retry_delay_max': 0.02,
            }
            | limits
        )
        import_filter = ImportFilter(allowed_hosts=allowed, allowed_ports=[web.port, *ports])
        expected = checksum and Checksum.parse(checksum)
        source = PersistentSource(
            [url if '://' in url else web.url + url for url in urls],
            functools.partial(
                sources.open,
                import_filter=import_filter,
                resolver=names or Names(),
                limits=run.limits,
            ),
            run.limits,
            run.listener,
            checkpoint=checkpoint,
            is_checked=expected is not None,
        )
        receiver = Receiver(lambda size: None, pool, digest=expected and expected.algorithm)

        def wrong(result):
            actual = expected and Checksum(expected.algorithm, result.digests[expected.algorithm])
            if actual != expected:
                return errors.ChecksumMismatch(source.name, str(expected), str(actual))
            return None

        path = tmp_path / 'image'
        with contextlib.closing(source):
            source.open()
            result = persistent_source.receive(source, receiver, str(path), wrong)
        received = path.read_bytes()
        assert result.size == len(received)
        assert result.checksum == hashlib.md5(received, usedforsecurity=False).hexdigest()
        assert result.os_hash_value == hashlib.sha512(received).hexdigest()
        return received

    return run


def ranges(web, path=None):
    """What was asked for: the first byte of each request."""
    asked = [request for request in web.requests if path in (None, request.path)]
    return [int(request.headers.get('range', 'bytes=0-')[6:-1]) for request in asked]


# ---------------------------------------------------------------- the matrix of faults

CUTS = {'0 %': 0, '1 %': SIZE // 100, '50 %': SIZE // 2, '99 %': SIZE * 99 // 100}


def part(first, last, size, body=b'', tag=None, **more):
    """A response with this range, true or not."""
    headers = [('Content-Range', f'bytes {first}-{last}/{size}')]
    if tag:
        headers.append(('ETag', tag))
    return Answer([body], 206, headers, announced=len(body), **more)


def http_date(seconds):
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


# How the first response ends at the cut.
ENDINGS = {
    'closed': {},
    'reset': {'reset': True},
    'silent': {'stall': True},
    'chunks cut off': {'chunked': True},
}
# What the next request meets, and whether the fetch can go on at the cut behind it.
NEXT = {
    'good': (lambda cut: GOOD, True),
    'hangs up': (lambda cut: Raw(b''), True),
    '408': (lambda cut: Answer(status=408), True),
    '425': (lambda cut: Answer(status=425), True),
    '429, Retry-After: 0': (lambda cut: Answer(status=429, headers=[('Retry-After', '0')]), True),
    '500': (lambda cut: Answer(status=500), True),
    '502': (lambda cut: Answer(b'<html>', status=502), True),
    '503, Retry-After: in a year': (
        lambda cut: Answer(status=503, headers=[('Retry-After', http_date(31536000))]),
        True,
    ),
    '503, Retry-After: 31536000': (
        lambda cut: Answer(status=503, headers=[('Retry-After', '31536000')]),
        True,
    ),
    '504': (lambda cut: Answer(status=504), True),
    'target of a redirect is gone': (lambda cut: redirect('/gone'), True),
    'cut at once': (lambda cut: Answer(BODY, cut=cut), True),
    'cut again one byte on': (lambda cut: Answer(BODY, cut=cut + 1), True),
    'sends no ranges': (lambda cut: Answer(BODY, ranges=False), False),
    'has another file': (lambda cut: Answer(CHANGED), False),
    '416': (lambda cut: Answer(status=416), False),
    '412': (lambda cut: Answer(status=412), False),
    '206 of another begin': (lambda cut: part(cut + 1, SIZE - 1, SIZE, BODY[cut + 1 :]), False),
    '206 of another end': (lambda cut: part(cut, SIZE - 2, SIZE, BODY[cut:-1]), False),
    '206 of another size': (lambda cut: part(cut, SIZE, SIZE + 1, BODY[cut:] + b'x'), False),
    '206 of another state': (lambda cut: part(cut, SIZE - 1, SIZE, BODY[cut:], '"x"'), False),
    '206 without a range': (lambda cut: Answer([BODY[cut:]], 206), False),
}


FOR_RANGES = {row for row in NEXT if row.startswith(('206', '416', '412'))}


def cut_off(web, fetch, *pages):
    """Fetch a file that is another page for each request."""
    web.pages['/a'] = in_turn(*pages)
    return fetch('/a', read_timeout=1 if pages[0].stall else 5)


@pytest.mark.parametrize('cut', CUTS)
@pytest.mark.parametrize('ending', ENDINGS)
def test_a_fetch_goes_on_where_it_was_cut(fetch, web, cut, ending):
    first = Answer(BODY, cut=CUTS[cut], **ENDINGS[ending])
    assert cut_off(web, fetch, first, GOOD) == BODY
    begins = ranges(web)
    if ending == 'reset':  # what had arrived and was not read yet is lost
        assert begins[1] <= CUTS[cut]
        begins[1] = CUTS[cut]
    assert begins == [0, CUTS[cut]]
    assert fetch.listener.begun_again == []


@pytest.mark.parametrize(
    ('row', 'cut'),
    # No range is asked for where nothing is here yet.
    [(row, cut) for row in NEXT for cut in CUTS if CUTS[cut] or row not in FOR_RANGES],
)
def test_what_the_next_request_meets_does_not_end_the_fetch(fetch, web, row, cut):
    page, goes_on = NEXT[row]
    wanted, last = (CHANGED, page(0)) if row == 'has another file' else (BODY, GOOD)
    assert cut_off(web, fetch, Answer(BODY, cut=CUTS[cut]), page(CUTS[cut]), last) == wanted
    assert fetch.listener.begun_again == ([] if goes_on or not CUTS[cut] else [CUTS[cut]])
    assert ranges(web)[1] == CUTS[cut]


# --------------------------------------------------------------------- what is retried

LASTING = {
    'not found': (Answer(status=404), 'answered 404 Not Found.'),
    'forbidden': (Answer(status=403), 'answered 403 Forbidden.'),
    'gone': (Answer(status=410), 'answered 410 Gone.'),
    'no HTTP': (Raw(b'SSH-2.0-x\r\n'), 'broke the rules of HTTP before it answered'),
    'an encoded file': (Answer(b'x', headers=[('Content-Encoding', 'br')]), 'an encoded file'),
    'too large': (Answer(announced=10**8), 'larger than image_size_cap'),
    'empty': (Answer(b''), 'sent an empty body'),
    'a part': (Answer(BODY, 206), 'answered 206'),
    'refused': (redirect('http://10.0.0.1/'), 'is not allowed'),
    'a loop': (redirect('/a'), 'redirected more than 5 times in a row'),
}


@pytest.mark.parametrize('row', LASTING)
def test_what_cannot_get_better_is_not_retried(fetch, web, row):
    web.pages['/a'], said = LASTING[row]
    with pytest.raises(errors.SourceFailed) as caught:
        fetch('/a')
    assert said in str(caught.value)
    assert fetch.listener.retries == []
    assert 'tried' not in str(caught.value)


def test_without_time_for_retries_the_first_error_is_the_end(fetch, web):
    web.pages['/a'] = in_turn(Answer(status=503), GOOD)
    with pytest.raises(errors.SourceBadResponse, match=r'answered 503 Service Unavailable\.$'):
        fetch('/a', retry_timeout=0)
    assert len(web.requests) == 1


def test_a_source_that_is_not_there_yet_is_asked_again(fetch, web, pool):
    with SourceServer() as later:
        pass

    def on_retry(retry):
        if retry.number == 3:
            later.start()

    later.pages['/a'] = BODY
    received = fetch(later.url + '/a', listener=Listener(on_retry), ports=[later.port])
    later.stop()
    assert received == BODY
    reasons = {retry.reason for retry in fetch.listener.retries}
    assert reasons == {f'{later.url}/a cannot be reached: the connection was refused.'}


def test_a_name_without_an_address_is_asked_for_again(fetch, web):
    web.pages['/a'] = BODY
    names = Names('images.example', failures=2)
    assert fetch(f'http://images.example:{web.port}/a', names=names) == BODY
    assert [retry.number for retry in fetch.listener.retries] == [1, 2]


def test_the_target_of_a_redirect_may_be_another_one_each_time(fetch, web):
    """As where URLs are signed for a short time."""
    web.pages['/a'] = in_turn(*(redirect(f'/{number}?signature=secret') for number in range(4)))
    web.pages['/0'] = Answer(BODY, cut=1000)
    web.pages['/1'] = Answer(status=403)
    web.pages['/2'] = Answer(status=404)
    web.pages['/3'] = GOOD
    assert fetch('/a') == BODY
    assert ranges(web, '/3?signature=secret') == [1000]
    assert 'secret' not in str(fetch.listener.retries)


def test_a_target_that_stays_gone_ends_the_fetch(fetch, web):
    web.pages['/a'] = redirect('/b')
    with pytest.raises(errors.SourcesGivenUp) as caught:
        fetch('/a')
    assert f'{web.url}/b answered 404 Not Found; tried 2 times in ' in str(caught.value)


# ------------------------------------------------------------------ how long it is tried


def test_a_fetch_is_given_up_after_its_time_of_trouble(fetch, web):
    web.pages['/a'] = Answer(status=503)
    with pytest.raises(errors.SourcesGivenUp) as caught:
        fetch('/a?key=secret', retry_timeout=0.2)
    said = f'{web.url}/a?key=*** answered 503 Service Unavailable; tried {len(web.requests)} times'
    assert re.fullmatch(re.escape(said) + r' in \d+ seconds?\.', str(caught.value))


def test_there_is_at_least_one_retry(fetch, web):
    """Even if the first error takes longer than all retries may."""
    web.pages['/a'] = in_turn(Answer(status=500), GOOD)
    assert fetch('/a', retry_timeout=0.00001) == BODY


def test_each_new_byte_gives_new_time(fetch, web):
    cuts = [Answer(BODY, cut=1000 * number) for number in range(1, 30)]
    web.pages['/a'] = in_turn(*cuts, GOOD)
    began = time.monotonic()
    assert fetch('/a', retry_timeout=0.1, retry_delay=0.05, retry_delay_max=0.05) == BODY
    assert time.monotonic() - began > 0.1


def test_the_same_bytes_once_more_give_no_new_time(fetch, web):
    web.pages['/a'] = Answer(BODY, cut=SIZE // 2, ranges=False)
    with pytest.raises(errors.SourcesGivenUp, match=r'but sent 100000; tried \d+ times in'):
        fetch('/a', retry_timeout=0.2)


def test_the_time_of_the_whole_fetch_ends_the_retries_too(fetch, web):
    web.pages['/a'] = Answer(status=503)
    with pytest.raises(errors.FetchTooLong, match=r'total_timeout allows \(0.1 seconds\)'):
        fetch('/a', total_timeout=0.1)


@pytest.mark.parametrize(
    ('seconds', 'words'),
    [
        (0, '1 second'),
        (1.4, '1 second'),
        (99.4, '99 seconds'),
        (120, '2 minutes'),
        (5999, '100 minutes'),
        (6000, '2 hours'),
        (86400, '24 hours'),
    ],
)
def test_a_time_is_told_in_words(seconds, words):
    assert retries.in_words(seconds) == words


@pytest.mark.parametrize(
    ('failures', 'retry_after', 'least', 'most'),
    [
        (1, None, 0.5, 1),
        (2, None, 1, 2),
        (4, None, 4, 8),
        (99, None, 15, 30),
        (10**6, None, 15, 30),
        (1, 0, 0.5, 1),
        (1, 7, 7, 7),
        (1, 31536000, 30, 30),
    ],
)
def test_the_time_before_a_retry_grows_and_is_limited(failures, retry_after, least, most):
    limits = FetchLimits(1, 1, 1)
    error = errors.SourceBadResponse('x', 503, '', retry_after)
    delays = [retries.delays(limits, failures, error) for _ in range(100)]
    assert min(by_chance for by_chance, _longest in delays) >= least
    assert {longest for _by_chance, longest in delays} == {most}
    assert len(set(delays)) > 1 or least == most


@pytest.mark.parametrize(
    ('value', 'seconds'),
    [
        ('7', 7),
        ('0', 0),
        ('Fri, 27 Nov 2026 08:00:07 GMT', 7),
        ('Fri, 27 Nov 2026 07:00:00 GMT', 0),
        ('-7', None),
        ('7.5', None),
        ('soon', None),
        ('9' * 40, None),
        ('Fri, 99 Nov 2026 08:00:07 GMT', None),
        ('', None),
    ],
)
def test_a_source_says_when_to_ask_again(value, seconds):
    headers = {'retry-after': value, 'date': 'Fri, 27 Nov 2026 08:00:00 GMT'}
    assert sources.response_headers.retry_after(headers) == seconds


def test_who_waits_for_a_retry_is_asked_whether_to_go_on(fetch, web):
    web.pages['/a'] = Answer(status=503)
    asked = []

    def on_pause():
        asked.append(1)
        if len(asked) == 3:
            raise HandBack

    with pytest.raises(HandBack):
        fetch('/a', retry_delay=60, retry_delay_max=60, listener=Listener(on_pause=on_pause))
    assert len(web.requests) == 1


# -------------------------------------------------------------------------- mirrors


def test_mirrors_are_asked_in_order(fetch, web):
    web.pages['/c'] = GOOD
    assert fetch('/a', '/b', '/c', '/d') == BODY
    assert [request.path for request in web.requests] == ['/a', '/b', '/c']


def test_mirrors_that_may_recover_are_asked_in_turn(fetch, web):
    web.pages['/a'] = in_turn(Answer(status=500), Answer(status=500), GOOD)
    web.pages['/b'] = Answer(status=500)
    assert fetch('/a', '/gone', '/b') == BODY
    asked = [request.path for request in web.requests]
    assert asked == ['/a', '/gone', '/b', '/a', '/b', '/a']


def test_each_mirror_is_asked_though_the_first_ones_took_all_the_time(fetch, web):
    web.pages['/a'] = web.pages['/b'] = Answer(status=500)
    web.pages['/c'] = GOOD
    assert fetch('/a', '/b', '/c', retry_timeout=0.00001) == BODY


def test_the_last_error_of_each_mirror_is_told(fetch, web):
    web.pages['/b'] = Answer(BODY, cut=5)
    web.pages['/c'] = Answer(status=500)
    with pytest.raises(errors.SourcesGivenUp) as caught:
        fetch('/a?key=secret', '/b', '/c', retry_timeout=0.1)
    said = str(caught.value)
    assert said.startswith('None of the 3 sources sent the whole file; tried ')
    assert f'{web.url}/a?key=*** answered 404 Not Found; ' in said
    assert f'{web.url}/b: The source announced 200000 bytes but sent ' in said
    assert said.endswith(f'{web.url}/c answered 500 Internal Server Error.')


def test_mirrors_are_put_together_if_they_name_the_same_state(fetch, web):
    web.pages['/a'] = in_turn(Answer(BODY, headers=TAGGED, cut=1000), Answer(status=500))
    web.pages['/b'] = Answer(BODY, headers=TAGGED)
    assert fetch('/a', '/b') == BODY
    assert ranges(web, '/b') == [1000]
    assert fetch.listener.begun_again == []


UNPROVEN = {
    'another ETag': Answer(BODY, headers=[('ETag', '"other"')]),
    'a part without an ETag': part(1000, SIZE - 1, SIZE, BODY[1000:]),
    'a part with another ETag': part(1000, SIZE - 1, SIZE, BODY[1000:], '"other"'),
    'a part of another size': part(1000, SIZE, SIZE + 1, BODY[1000:] + b'x', '"mine"'),
}


@pytest.mark.parametrize('row', UNPROVEN)
def test_mirrors_that_prove_nothing_begin_at_the_first_byte(fetch, web, row):
    web.pages['/a'] = in_turn(Answer(BODY, headers=TAGGED, cut=1000), Answer(status=500))
    web.pages['/b'] = in_turn(UNPROVEN[row], Answer(CHANGED, headers=[('ETag', '"other"')]))
    whole = BODY if row == 'another ETag' else CHANGED
    assert fetch('/a', '/b') == whole
    assert fetch.listener.begun_again == [1000]


@pytest.mark.parametrize('size', [None, SIZE])
def test_a_date_or_a_missing_size_proves_nothing_of_another_mirror(fetch, web, size):
    dated = [('Last-Modified', http_date(-(10**6))), ('Date', http_date(0)), ('ETag', 'W/"weak"')]
    headers = dated if size else TAGGED
    first = Answer(BODY, headers=headers, cut=1000, chunked=size is None)
    web.pages['/a'] = in_turn(first, Answer(status=500))
    web.pages['/b'] = Answer(BODY, headers=headers)
    assert fetch('/a', '/b') == BODY
    assert ranges(web, '/b') == [0]
    assert fetch.listener.begun_again == [1000]


def test_a_mirror_that_breaks_before_its_first_byte_costs_nothing_that_is_here(fetch, web):
    """It proves nothing, and says nothing: the next one that proves it goes on."""
    web.pages['/a'] = in_turn(
        Answer(BODY, headers=TAGGED, cut=1000), Answer(status=500), Answer(BODY, headers=TAGGED)
    )
    assert fetch('/a', '/gone', '/gone-too') == BODY
    assert ranges(web, '/a') == [0, 1000, 1000]


def test_what_an_earlier_claim_received_is_continued_at_its_mirror(fetch, web, tmp_path):
    (tmp_path / 'image').write_bytes(BODY[:1000])
    web.pages['/a'] = web.pages['/c'] = Answer(BODY, headers=TAGGED)
    checkpoint = Checkpoint(1000, SIZE, '"mine"', mirror=2)
    assert fetch('/a', '/b', '/c', checkpoint=checkpoint) == BODY
    assert (ranges(web, '/c'), ranges(web, '/a')) == ([1000], [])


# ------------------------------------------------------------------------- checksums


def checksum_of(body, algorithm='sha256'):
    return f'{algorithm}:{hashlib.new(algorithm, body).hexdigest()}'


@pytest.mark.parametrize('algorithm', ['md5', 'sha256', 'sha512'])
def test_a_file_with_the_right_checksum_is_received(fetch, web, algorithm):
    web.pages['/a'] = BODY
    assert fetch('/a', checksum=checksum_of(BODY, algorithm)) == BODY


def test_another_file_is_refused_with_both_digests(fetch, web):
    web.pages['/a'] = CHANGED
    with pytest.raises(errors.ChecksumMismatch) as caught:
        fetch('/a', checksum=checksum_of(BODY))
    assert str(caught.value) == (
        f'{web.url}/a sent a file whose checksum is {checksum_of(CHANGED)}, '
        f'but "import_checksum" is {checksum_of(BODY)}.'
    )
    assert ranges(web) == [0]


def test_a_mirror_with_another_file_is_followed_by_the_next(fetch, web):
    web.pages['/a'] = CHANGED
    web.pages['/b'] = BODY
    assert fetch('/a', '/b', checksum=checksum_of(BODY)) == BODY
    assert ranges(web) == [0, 0]


def test_no_mirror_has_the_right_file(fetch, web):
    web.pages['/a'] = web.pages['/b'] = CHANGED
    with pytest.raises(errors.SourcesGivenUp) as caught:
        fetch('/a', '/b', checksum=checksum_of(BODY))
    for path in ('/a', '/b'):
        assert f'{web.url}{path} sent a file whose checksum is' in str(caught.value)
    assert len(web.requests) == 2


def test_a_checksum_lets_any_mirror_continue(fetch, web):
    """Also without any validator."""
    web.pages['/a'] = in_turn(Answer([BODY[:1000]], announced=SIZE), Answer(status=500))
    web.pages['/b'] = GOOD
    assert fetch('/a', '/b', checksum=checksum_of(BODY)) == BODY
    assert ranges(web, '/b') == [1000]
    assert 'if-range' not in web.requests[-1].headers


def test_parts_that_do_not_belong_together_are_noticed(fetch, web):
    """A source that lies about ranges: once more in one piece, then it is right."""
    lie = part(1000, SIZE - 1, SIZE, bytes(SIZE - 1000))  # of the same state, it says
    web.pages['/a'] = in_turn(Answer(BODY, cut=1000), lie, Answer(BODY, cut=9), GOOD)
    assert fetch('/a', checksum=checksum_of(BODY)) == BODY
    assert ranges(web) == [0, 1000, 0, 0]


def test_bytes_of_an_earlier_claim_that_are_wrong_are_noticed(fetch, web, tmp_path):
    (tmp_path / 'image').write_bytes(bytes(1000))
    web.pages['/a'] = Answer(BODY, headers=TAGGED)
    checkpoint = Checkpoint(1000, SIZE, '"mine"')
    assert fetch('/a', checkpoint=checkpoint, checksum=checksum_of(BODY)) == BODY
    assert ranges(web) == [1000, 0]
