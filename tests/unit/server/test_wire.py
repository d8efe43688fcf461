"""What may come over a connection of glance-api: heads and chunks as RFC 9112 writes them.

The server runs in a process of its own, since its threads must be green. All
tests share it. Its application answers with what it was asked.
"""

import contextlib
import json
import socket
import subprocess
import sys

import pytest

PROGRAM = """
import json
from glance import threads
threads.use(threads.GREEN)
import eventlet
from glance.server import wsgi_server

def application(environ, start_response):
    if environ['PATH_INFO'] == '/unread':
        start_response('404 Not Found', [])
        return [b'']
    try:
        body = environ['wsgi.input'].read(100000)
    except (OSError, ValueError):
        start_response('400 Bad Request', [])
        return [b'']
    if environ['PATH_INFO'] == '/large':
        start_response('413 Content Too Large', [])
        return [b'too large']
    start_response('200 OK', [])
    if environ['REQUEST_METHOD'] == 'HEAD':
        return []
    return [json.dumps([
        environ['REQUEST_METHOD'], environ['PATH_INFO'], environ.get('QUERY_STRING', ''),
        environ.get('HTTP_HOST'), body.decode('latin-1'),
    ]).encode()]

listener = eventlet.listen(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
wsgi_server.serve(listener, application, socket_timeout=60)
"""

SECOND = b'GET /second HTTP/1.1\r\nHost: a\r\n\r\n'


@pytest.fixture(scope='module')
def port():
    with subprocess.Popen([sys.executable, '-c', PROGRAM], stdout=subprocess.PIPE) as process:
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


@pytest.fixture
def talk(port):
    """talk(sent): all that the server says until it hangs up."""

    def talked(sent):
        with socket.create_connection(('127.0.0.1', port)) as client:
            client.settimeout(30)
            client.sendall(sent)
            received = b''
            with contextlib.suppress(ConnectionError):
                while piece := client.recv(65536):
                    received += piece
        return received

    return talked


def answers(received):
    """(status, body) of each answer with a Content-Length."""
    found = []
    while received:
        head, _, received = received.partition(b'\r\n\r\n')
        length = int(head.lower().partition(b'content-length: ')[2].partition(b'\r\n')[0])
        found.append((int(head.split()[1]), received[:length]))
        received = received[length:]
    return found


def end(request):
    """A request with which the connection ends."""
    return request.replace(b'\r\n\r\n', b'\r\nConnection: close\r\n\r\n', 1)


@pytest.mark.parametrize(
    'line',
    [
        b'X A: 1',
        b'X',
        b'X : 1',
        b'X\t: 1',
        b': 1',
        b' X: 1',
        b'\tX: 1',
        b'X: 1\r\n folded',
        b'X: a\0b',
        b'X: a\rb',
        b'X: a\rContent-Length: 0',
        b'X: a\x01b',
        b'X: a\x7fb',
        b'X: a\x0bb',
        b'X\0: 1',
        b'X\x0b: 1',
        b'X\xe9: 1',
        b'X(y): 1',
        b'X: 1\nY: 2',
        b'"X": 1',
        b'Host: b',
        b'Host: a/b',
        b'Content-Length: 0',
        b'Transfer-Encoding: chunked',
        b'Transfer-Encoding: gzip, chunked',
        b'Transfer-Encoding: identity',
        b'Transfer-Encoding: chunked;q=1',
        b'Transfer-Encoding:',
    ],
)
@pytest.mark.parametrize('place', ['before', 'after'])
def test_a_line_that_is_no_header_hides_no_length(talk, line, place):
    length = b'Content-Length: %d\r\n' % len(SECOND)
    lines = [line + b'\r\n', length] if place == 'before' else [length, line + b'\r\n']
    received = talk(b'POST / HTTP/1.1\r\nHost: a\r\n' + b''.join(lines) + b'\r\n' + SECOND)
    assert [status for status, _ in answers(received)] == [400]


@pytest.mark.parametrize(
    'length',
    [b'+5', b'-5', b'5,5', b'5, 5', b'0x5', b'5 5', b'1_0', b'', b'\xb2', b'5.0', b'9' * 200],
)
def test_a_length_is_digits(talk, length):
    received = talk(b'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ' + length + b'\r\n\r\n12345')
    assert [status for status, _ in answers(received)] == [400]


@pytest.mark.parametrize(
    ('line', 'status'),
    [
        (b'GET /', 400),
        (b'GET  / HTTP/1.1', 400),
        (b'GET / HTTP/1.1 ', 400),
        (b' GET / HTTP/1.1', 400),
        (b'GET\t/\tHTTP/1.1', 400),
        (b'GET / HTTP/1.1\rX', 400),
        (b'GET / x HTTP/1.1', 400),
        (b'GET /\0 HTTP/1.1', 400),
        (b'G(T / HTTP/1.1', 400),
        (b'GET / http/1.1', 400),
        (b'GET / HTTP/1.10', 400),
        (b'GET / HTTP/11', 400),
        (b'GET / HTTP/+1.1', 400),
        (b'GET / HTTP/1.1\nX: y', 400),
        (b'GET images HTTP/1.1', 400),
        (b'GET * HTTP/1.1', 400),
        (b'GET ftp://a/ HTTP/1.1', 400),
        (b'GET http:/a HTTP/1.1', 400),
        (b'GET http:///a HTTP/1.1', 400),
        (b'GET http://user@a/ HTTP/1.1', 400),
        (b'GET http://a:b/ HTTP/1.1', 400),
        (b'GET http://[::1/ HTTP/1.1', 400),
        (b'GET / HTTP/0.9', 505),
        (b'GET / HTTP/2.0', 505),
        (b'PRI * HTTP/2.0', 505),
        (b'GET /' + b'x' * 9000 + b' HTTP/1.1', 414),
    ],
)
def test_a_bad_request_line_ends_the_connection(talk, line, status):
    received = talk(line + b'\r\nHost: a\r\n\r\n' + SECOND)
    assert [found for found, _ in answers(received)] == [status]


@pytest.mark.parametrize(
    'head',
    [
        b'POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n',
        b'GET / HTTP/1.1\r\n',
        b'GET http://a/ HTTP/1.1\r\n',
        b'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 2\r\n',
    ],
)
def test_a_head_that_says_too_much_or_too_little_is_refused(talk, head):
    assert [status for status, _ in answers(talk(head + b'\r\n' + SECOND))] == [400]


@pytest.mark.parametrize(
    'lines', [[b'X: ' + b'y' * 9000], [b'X: y'] * 101, [b'X: ' + b'y' * 8000] * 9]
)
def test_headers_are_limited(talk, lines):
    received = talk(b'GET / HTTP/1.1\r\nHost: a\r\n' + b'\r\n'.join(lines) + b'\r\n\r\n')
    assert [status for status, _ in answers(received)] == [431]


@pytest.mark.parametrize(
    ('head', 'seen'),
    [
        (b'GET /a?b=c HTTP/1.1\r\nHost: a', ['GET', '/a', 'b=c', 'a', '']),
        (b'\r\nGET / HTTP/1.1\r\nHost: a', ['GET', '/', '', 'a', '']),
        (b'GET / HTTP/1.1\r\nHost:\t a:80 \t', ['GET', '/', '', 'a:80', '']),
        (b'GET / HTTP/1.1\r\nHost: [::1]:9292', ['GET', '/', '', '[::1]:9292', '']),
        (b'GET / HTTP/1.1\r\nHost: ', ['GET', '/', '', '', '']),
        (b'GET / HTTP/1.0', ['GET', '/', '', None, '']),
        (b'GET / HTTP/1.2\r\nHost: a', ['GET', '/', '', 'a', '']),
        (b'GET //a HTTP/1.1\r\nHost: a', ['GET', '/a', '', 'a', '']),
        (b'GET /?n=\xc3\xa4 HTTP/1.1\r\nHost: a', ['GET', '/', 'n=\xc3\xa4', 'a', '']),
        (b'GET / HTTP/1.1\r\nHost: a\r\nX: \xff\t"(', ['GET', '/', '', 'a', '']),
        (b'OPTIONS * HTTP/1.1\r\nHost: a', ['OPTIONS', '*', '', 'a', '']),
        (b'GET http://b/c?d HTTP/1.1\r\nHost: a', ['GET', '/c', 'd', 'b', '']),
        (b'GET HTTP://b:1 HTTP/1.1\r\nHost: a', ['GET', '/', '', 'b:1', '']),
        (b'GET https://[::1]?d HTTP/1.1\r\nHost: a', ['GET', '/', 'd', '[::1]', '']),
        (b'GET http://b/ HTTP/1.0', ['GET', '/', '', 'b', '']),
        (b'OPTIONS http://b HTTP/1.1\r\nHost: a', ['OPTIONS', '*', '', 'b', '']),
        (b'GET http://b//c HTTP/1.1\r\nHost: a', ['GET', '/c', '', 'b', '']),
    ],
)
def test_the_application_sees_what_was_asked(talk, head, seen):
    ((status, body),) = answers(talk(head + b'\r\nConnection: x, Close\r\n\r\n'))
    assert (status, json.loads(body)) == (200, seen)


CHUNKED = b'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n'


@pytest.mark.parametrize(
    'body',
    [
        b'-5\r\nhello\r\n0\r\n\r\n',
        b'0x5\r\nhello\r\n0\r\n\r\n',
        b'+5\r\nhello\r\n0\r\n\r\n',
        b'1_0\r\n0123456789abcdef\r\n0\r\n\r\n',
        b' 5\r\nhello\r\n0\r\n\r\n',
        b'5 \r\nhello\r\n0\r\n\r\n',
        b'\r\nhello\r\n0\r\n\r\n',
        b'g\r\nhello\r\n0\r\n\r\n',
        b'\xef\xbc\x95\r\nhello\r\n0\r\n\r\n',
        b'5\nhello\r\n0\r\n\r\n',
        b'5\r\nhello\n0\r\n\r\n',
        b'5\r\nhello0\r\n\r\n',
        b'5\r\nhello!\r\n0\r\n\r\n',
        b'5\r\nhello\r\r\n0\r\n\r\n',
        b'00000000000000005\r\nhello\r\n0\r\n\r\n',
        b'5;\r\nhello\r\n0\r\n\r\n',
        b'5;a=\r\nhello\r\n0\r\n\r\n',
        b'5;a=b c\r\nhello\r\n0\r\n\r\n',
        b'5;a="b\r\nhello\r\n0\r\n\r\n',
        b'5;a="\0"\r\nhello\r\n0\r\n\r\n',
        b'5;a\rb\r\nhello\r\n0\r\n\r\n',
        b'5;a\nb\r\nhello\r\n0\r\n\r\n',
        b'5 x\r\nhello\r\n0\r\n\r\n',
        b'5;' + b'a' * 5000 + b'\r\nhello\r\n0\r\n\r\n',
        b'5\r\nhello\r\n0\r\nX\r\n\r\n',
        b'5\r\nhello\r\n0\r\nX : y\r\n\r\n',
        b'5\r\nhello\r\n0\r\n X: y\r\n\r\n',
        b'5\r\nhello\r\n0\r\nX: \0\r\n\r\n',
        b'5\r\nhello\r\n0\r\nX: y\n\r\n\r\n',
        b'5\r\nhello\r\n0\r\n\n',
        b'5\r\nhello\r\n0\r\n' + b'X: y\r\n' * 101 + b'\r\n',
        b'5\r\nhello\r\n0\r\nX: ' + b'y' * 5000 + b'\r\n\r\n',
    ],
)
def test_what_is_no_chunk_ends_the_connection(talk, body):
    received = talk(CHUNKED + body + SECOND)
    assert [status for status, _ in answers(received)] == [400]


@pytest.mark.parametrize('size', [b'-5', b'0x5', b'5 ', b''])
def test_the_size_of_the_first_chunk_is_checked_if_nobody_reads_the_body(talk, size):
    sent = CHUNKED.replace(b'/', b'/unread', 1) + size + b'\r\nhello\r\n0\r\n\r\n' + SECOND
    assert [status for status, _ in answers(talk(sent))] == [400]


@pytest.mark.parametrize(
    ('rest', 'statuses'),
    [(b'0\r\n\r\n', [404, 200]), (b'-1\r\n\r\n', [404]), (b'0\r\nX\r\n\r\n', [404])],
)
def test_a_body_that_nobody_reads_is_passed_over(talk, rest, statuses):
    sent = CHUNKED.replace(b'/', b'/unread', 1) + b'5\r\nhello\r\n' + rest + end(SECOND)
    assert [status for status, _ in answers(talk(sent))] == statuses


@pytest.mark.parametrize(
    'body',
    [
        b'5\r\nhello\r\n0\r\n\r\n',
        b'0000000000000005\r\nhello\r\n000\r\n\r\n',
        b'2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n',
        b'5;a\r\nhello\r\n0;b=c\r\n\r\n',
        b'5 ; a = "\\"; x" ;b=c\r\nhello\r\n0\r\n\r\n',
        b'5\r\nhello\r\n0\r\nX: y\r\nContent-Length: 7\r\n\r\n',
    ],
)
def test_the_connection_goes_on_after_chunks(talk, body):
    first, second = answers(talk(CHUNKED + body + end(SECOND)))
    assert json.loads(first[1])[4] == 'hello'
    assert json.loads(second[1])[1] == '/second'


def test_a_connection_is_closed_where_the_rest_of_a_refused_body_is_malformed(talk):
    data = b'fff00\r\n' + b'x' * 0xFFF00 + b'\r\n-1\r\n'
    sent = CHUNKED.replace(b'/', b'/large', 1) + data + SECOND
    assert [status for status, _ in answers(talk(sent))] == [413]


def test_the_connection_goes_on_after_head_and_errors(talk):
    received = talk(b'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n' * 2 + end(SECOND))
    assert received.count(b'HTTP/1.1 200 OK') == 3
    assert received.count(b'second') == 1


def test_a_body_that_ends_early_is_not_waited_for(port):
    with socket.create_connection(('127.0.0.1', port)) as client:
        client.settimeout(30)
        client.sendall(CHUNKED + b'5\r\nhel')
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1000).startswith(b'HTTP/1.1 400')
