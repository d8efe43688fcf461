"""Evil sources, row by row as in the operator guide: a clear sentence, and nothing left behind.

What must not be reached listens here, and sees no connection.
"""

import dataclasses
import itertools
import threading

import pytest

from glance import threads
from glance.domain.fetch_limits import FetchLimits
from glance.flows.import_image import ImportImage
from glance.image_data import pinned_connection
from glance.testing.source_server import Answer, Raw, Silence, SourceServer, redirect

from .conftest import EXECUTORS

pytestmark = pytest.mark.once

INSIDE = '127.0.0.1'  # the one address that the operator allows
OK = b'HTTP/1.1 200 OK\r\n'
CHUNKED = OK + b'Transfer-Encoding: chunked\r\n\r\n'
CAP = 2**20  # image_size_cap

# What a name may lead to. The trap listens on all addresses of this machine.
NOT_PUBLIC = {
    'loopback': '127.0.0.2',
    'loopback, version 6': '::1',
    'private': '10.0.0.1',
    'private, version 6': 'fd12::1',
    'link-local': '169.254.169.254',
    'link-local, version 6': 'fe80::1',
    'unspecified': '0.0.0.0',
    'mapped': '::ffff:127.0.0.1',
    'compatible': '::127.0.0.1',
    'NAT64': '64:ff9b::7f00:1',
    '6to4': '2002:7f00:1::1',
    'multicast': '224.0.0.1',
    'carrier': '100.64.0.1',
}
NUMBERS = {
    'digits only': '2130706433',
    'octal': '0177.0.0.1',
    'hexadecimal': '0x7f000001',
    'hexadecimal parts': '0x7f.0.0.1',
    'parts left out': '127.1',
}


class Names:
    """A resolver that gives a name's answers one after another, the last one for ever."""

    def __init__(self, **_options):
        self.known = {}
        self.asked = []

    def addresses(self, host, port):
        self.asked.append(host)
        answers = self.known.get(host, [[]])
        return answers.pop(0) if len(answers) > 1 else answers[0]


@pytest.fixture
def names():
    return Names()


@pytest.fixture
def trap():
    """Listens where nobody may connect to."""
    with SourceServer(host='::') as server:
        yield server


@pytest.fixture
def tried(monkeypatch):
    """The addresses to which a connection was tried."""
    seen = []
    open_socket = pinned_connection.open_socket

    def spying(route, seconds):
        seen.append(route.ip)
        return open_socket(route, seconds)

    monkeypatch.setattr(pinned_connection, 'open_socket', spying)
    return seen


class LimitedImport(ImportImage):
    """The import with limits of a fetch that no operator can set."""

    def __init__(self, limits):
        self._limits = limits

    def tools(self, conf):
        return dataclasses.replace(super().tools(conf), fetch_limits=self._limits)


def guarded(
    make_service, *ports, executor='taskflow-parallel', resolver=None, limits=None, **options
):
    """A service for which one address inside is allowed, besides the internet.

    limits  FetchLimits in place of those of the options
    """
    section = {
        'allowed_hosts': [],
        'allowed_networks': [f'{INSIDE}/32'],
        'allowed_ports': list(ports),
        'read_timeout': 5,
    } | options
    return make_service(
        executor,
        replacements={
            'resolver': resolver,
            'task_types': limits and {'import': LimitedImport(limits)},
        },
        DEFAULT={'image_size_cap': CAP},
        import_filtering_opts=section,
    ).start()


def failed(service, address):
    """The message of an import that fails and leaves nothing."""
    answer = service.import_(address)
    assert answer.status_int == 201, answer.text
    task = service.ended(answer.json['id'])
    assert (task['status'], task['result']) == ('failure', None)
    assert service.files() == []
    assert service.call('GET', '/v2/images').json['images'] == []
    assert 'secret' not in task['message']
    return task['message']


def wrapped(address):
    return f'[{address}]' if ':' in address else address


@pytest.mark.parametrize('row', NOT_PUBLIC)
def test_what_is_not_public_is_never_connected_to(row, names, trap, tried, web, make_service):
    address = NOT_PUBLIC[row]
    service = guarded(make_service, web.port, trap.port, resolver=names)
    names.known = {
        'evil.example': [[address]],
        'half.example': [[INSIDE, address]],
        'turns.example': [[INSIDE], [address]],
    }

    # Named as it is, by a name, and by a name with a good address, too: refused at once.
    for host in (wrapped(address), 'evil.example', 'half.example'):
        answer = service.import_(f'http://{host}:{trap.port}/a')
        assert answer.status_int == 400
        assert 'not public' in answer.json['message']
    # A name whose second answer differs from its first.
    assert 'leads to an address that is not public' in failed(
        service, f'http://turns.example:{trap.port}/a'
    )
    # Redirects to each.
    for host in (wrapped(address), 'evil.example', 'half.example'):
        web.pages['/a'] = redirect(f'http://{host}:{trap.port}/a?key=secret')
        assert 'not public' in failed(service, f'{web.url}/a')
    assert trap.accepted == 0
    assert set(tried) == {INSIDE}


@pytest.mark.parametrize('row', NUMBERS)
def test_a_number_is_no_host(row, names, trap, tried, web, make_service):
    service = guarded(make_service, web.port, trap.port, resolver=names)
    names.known[NUMBERS[row]] = [[INSIDE]]  # as the C library would have it
    address = f'http://{NUMBERS[row]}:{trap.port}/a'
    answer = service.import_(address)
    assert answer.status_int == 400
    assert 'is a number that is not written as an IP address' in answer.json['message']
    web.pages['/a'] = redirect(address)
    assert 'is a number' in failed(service, f'{web.url}/a')
    assert trap.accepted == 0
    assert names.asked == []
    assert tried == [INSIDE]


def test_a_name_is_asked_for_once_and_its_answer_kept(names, trap, web, make_service):
    """A third answer would lead astray; it is never asked for."""
    names.known['turns.example'] = [[INSIDE], [INSIDE], ['127.0.0.2']]
    web.pages['/a'] = b'bits'
    service = guarded(make_service, web.port, resolver=names)
    task = service.ended(service.import_(f'http://turns.example:{web.port}/a').json['id'])
    assert task['status'] == 'success'
    assert names.asked == ['turns.example'] * 2  # at the POST, and for the fetch


@pytest.mark.parametrize('to', ['file:///etc/passwd', 'ftp://127.0.0.1/a', 'gopher://a.example/'])
def test_a_redirect_to_another_scheme_is_refused(to, web, make_service):
    web.pages['/a'] = redirect(to)
    assert 'scheme' in failed(guarded(make_service, web.port), f'{web.url}/a')


def test_a_redirect_loop_ends(web, make_service):
    web.pages['/a'] = redirect('/b')
    web.pages['/b'] = redirect('/a')
    message = failed(guarded(make_service, web.port), f'{web.url}/a')
    assert 'redirected more than 5 times in a row' in message
    assert len(web.requests) == 6


def drip(*first):
    """Pieces, then a byte every now and then, for ever."""
    yield from first
    while True:
        threading.Event().wait(0.05)
        yield b'x'


def for_ever(piece, first=b''):
    yield first
    yield from itertools.repeat(piece)


# What the source does, as a function that makes its page, and what the task says.
EVIL = {
    'silent': (Silence, 'was silent for too long before it answered'),
    'silent amid the file': (
        lambda: Answer(itertools.chain([b'bits'], _silence()), announced=9),
        'was silent for too long after 4 bytes',
    ),
    'redirects to what is no URL': (
        lambda: Raw(b'HTTP/1.1 302 F\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n'),
        'answered 302 and a Location that is no URL',
    ),
    'hangs up': (lambda: Raw(b''), 'broke the connection before it answered'),
    'one byte a second': (lambda: Answer(drip()), 'slower than minimum_rate allows'),
    'one byte a second, announced': (
        lambda: Answer(drip(), announced=1000),
        'slower than minimum_rate allows',
    ),
    'headers of one byte a second': (
        lambda: Raw(drip(OK, b'X: ')),
        'slower than minimum_rate allows',
    ),
    'endless body': (lambda: Answer(for_ever(b'x' * 65536)), 'larger than image_size_cap'),
    'endless chunks': (
        lambda: Answer(for_ever(b'x' * 65536, b'x'), chunked=True),
        'larger than image_size_cap',
    ),
    'endless chunk': (
        lambda: Raw(for_ever(b'x' * 65536, CHUNKED + b'f' * 15 + b'\r\n')),
        'larger than image_size_cap',
    ),
    'announces too much': (lambda: Answer(announced=CAP + 1), 'larger than image_size_cap'),
    'endless head': (lambda: Raw(for_ever(b'X: y\r\n', OK)), 'broke the rules of HTTP'),
    'endless header': (
        lambda: Raw(for_ever(b'y' * 65536, OK + b'X: ')),
        'broke the rules of HTTP',
    ),
    'endless Continue': (
        lambda: Raw(for_ever(b'HTTP/1.1 100 Continue\r\n\r\n' * 1000)),
        'sent much data, but hardly any bytes of the file',
    ),
    'endless trailer': (
        lambda: Raw(for_ever(b'X: y\r\n' * 1000, CHUNKED + b'4\r\nbits\r\n0\r\n')),
        'sent much data, but hardly any bytes of the file',
    ),
    'chunks of names': (
        lambda: Raw(for_ever(b'1;' + b'y' * 60000 + b'\r\nx\r\n', CHUNKED)),
        'sent much data, but hardly any bytes of the file',
    ),
    'less than announced': (lambda: Answer(b'bits', announced=9), 'announced 9 bytes but sent 4'),
    'nothing of what it announced': (
        lambda: Answer(b'', announced=9),
        'announced 9 bytes but sent 0',
    ),
    'two lengths': (
        lambda: Answer(b'bits', headers=[('Content-Length', '9')], announced=4),
        'more than one Content-Length',
    ),
    'length that is no number': (
        lambda: Answer(b'bits', announced='many'),
        'Content-Length that is not a number',
    ),
    'negative length': (lambda: Answer(b'bits', announced='-4'), 'not a number of bytes'),
    'length and chunks': (
        lambda: Answer(b'bits', headers=[('Transfer-Encoding', 'chunked')], announced=4),
        'contradict each other',
    ),
    'a line that is no header': (
        lambda: Raw(OK + b'X A: 1\r\nContent-Length: 100\r\nConnection: close\r\n\r\nabc'),
        'broke the rules of HTTP before it answered: a header line is malformed',
    ),
    'a head that is cut off': (
        lambda: Raw(OK + b'X: y\r\n'),
        'broke the connection before it answered',
    ),
    'malformed trailer': (
        lambda: Raw(CHUNKED + b'4\r\nbits\r\n0\r\nX A: 1\r\n\r\n'),
        'broke the rules of HTTP after 4 bytes: a header line is malformed',
    ),
    'endless hints': (
        lambda: Raw(for_ever(b'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n' * 1000)),
        'sent much data, but hardly any bytes of the file',
    ),
    'cookie': (
        lambda: Answer(status=302, headers=[('Location', '?'), ('Set-Cookie', 'seen=1')]),
        'it asks for a cookie',
    ),
    'chunk of no size': (lambda: Raw(CHUNKED + b'zz\r\nbits'), 'the rules of HTTP after 0 bytes'),
    'chunk of an odd size': (
        lambda: Raw(CHUNKED + b'0x4\r\nbits\r\n0\r\n\r\n'),
        'the rules of HTTP',
    ),
    'chunk of an immense size': (
        lambda: Raw(CHUNKED + b'f' * 99 + b'\r\nbits'),
        'the rules of HTTP',
    ),
    'chunk that is cut off': (lambda: Raw(CHUNKED + b'9\r\nbits'), 'after 4 bytes'),
    'negative chunk': (lambda: Raw(CHUNKED + b'-4\r\nbits'), 'the rules of HTTP after 0 bytes'),
    'no last chunk': (lambda: Raw(CHUNKED + b'4\r\nbits\r\n'), 'after 4 bytes'),
    'gzip': (
        lambda: Answer(b'\x1f\x8b', headers=[('Content-Encoding', 'gzip')]),
        'with an encoded file, though the plain one was asked for',
    ),
    'gzip as transfer': (
        lambda: Answer(b'\x1f\x8b', headers=[('Transfer-Encoding', 'gzip')], announced=False),
        'in a transfer encoding that was not asked for',
    ),
    'another protocol': (lambda: Raw(b'SSH-2.0-x\r\n'), 'broke the rules of HTTP'),
    'empty': (lambda: Answer(b''), 'an empty body'),
}


def _silence():
    threading.Event().wait(60)
    yield b''


def fetch_limits(minimum_rate, rate_window):
    # Who drips is never silent for so long, however busy this machine is.
    return FetchLimits(
        size_cap=CAP,
        connect_timeout=10,
        read_timeout=10,
        minimum_rate=minimum_rate,
        rate_window=rate_window,
    )


def test_evil_answers_fail_their_tasks_harm_no_other_and_leave_nothing(web, make_service):
    """One service meets all of them at once, and a good one beside."""
    service = guarded(make_service, web.port, limits=fetch_limits(minimum_rate=512, rate_window=1))
    pages = {row: page for row, (page, _said) in EVIL.items()} | {'good': lambda: b'bits'}
    posted = {}
    for row, page in pages.items():
        web.pages[f'/{len(posted)}'] = page()
        address = f'{web.url}/{len(posted)}?key=secret'
        posted[row] = service.import_(address).json['id']
    ends = {row: service.ended(task_id) for row, task_id in posted.items()}

    image_id = ends.pop('good')['result']['image_id']
    wrong = {row: task for row, task in ends.items() if not failed_as_told(task, EVIL[row][1])}
    assert wrong == {}
    assert service.files() == [f'images/{image_id}.1']
    images = service.call('GET', '/v2/images').json['images']
    assert [image['id'] for image in images] == [image_id]


def failed_as_told(task, said):
    message = task['message']
    return (
        (task['status'], task['result']) == ('failure', None)
        and said in message
        and message.endswith('.')
        and 'secret' not in message
    )


@pytest.mark.parametrize(
    'executor', [name for name in EXECUTORS if threads.is_green() or name != 'eventlet']
)
def test_time_is_up_for_a_source_that_sends_and_sends(executor, web, make_service):
    web.pages['/a'] = Answer(drip(), announced=1000)
    service = guarded(make_service, web.port, executor=executor, total_timeout=0.4, minimum_rate=0)
    message = failed(service, f'{web.url}/a')
    assert message == f'{web.url}/a took longer than total_timeout allows (0.4 seconds).'


def test_what_follows_the_announced_length_is_not_of_the_file(web, make_service):
    web.pages['/a'] = Answer(b'bits and more', announced=4)
    service = guarded(make_service, web.port)
    task = service.ended(service.import_(f'{web.url}/a').json['id'])
    image = service.call('GET', f'/v2/images/{task["result"]["image_id"]}').json
    assert image['size'] == 4


def test_an_honest_slow_source_is_received(web, make_service):
    """Above the minimum rate, with pauses that the read timeout allows."""

    def pieces():
        for _ in range(14):
            threading.Event().wait(0.1)
            yield b'x' * 1024

    web.pages['/a'] = Answer(pieces(), announced=14 * 1024)
    service = guarded(
        make_service, web.port, limits=fetch_limits(minimum_rate=512, rate_window=0.2)
    )
    task = service.ended(service.import_(f'{web.url}/a').json['id'])
    assert task['status'] == 'success', task['message']


def test_secrets_of_an_address_are_shown_nowhere(web, make_service, caplog):
    web.pages['/a'] = Answer(status=403)
    service = guarded(make_service, web.port)
    address = f'http://me:secret@{INSIDE}:{web.port}/a?signature=secret'
    message = failed(service, address)
    assert message == f'http://***@{INSIDE}:{web.port}/a?signature=*** answered 403 Forbidden.'
    assert 'secret' not in caplog.text
