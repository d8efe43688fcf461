"""Downloads from a real glance-api: parts of them, and clients that go away."""

import contextlib
import http.client
import os
import pathlib
import socket

import psutil
import pytest

from glance.server import sendfile

from .conftest import TERM, until

pytestmark = pytest.mark.once

SIZE = 64 * 2**20  # more than all buffers between the two hold


@pytest.fixture
def content(tmp_path):
    path = tmp_path / 'content'
    path.write_bytes(os.urandom(2**20) * (SIZE // 2**20))
    return path


@pytest.fixture
def api(start):
    return start().await_ready()


@pytest.fixture
def image(api, web, content):
    """The path of the bytes of an image of SIZE bytes."""
    web.pages['/image'] = content
    task = api.ended(api.import_(f'{web.url}/image'))
    assert task['status'] == 'success', task['message']
    return f'/v2/images/{task["result"]["image_id"]}/file'


def open_files(api):
    """The stored images that the service has open."""
    found = []
    for entry in pathlib.Path(f'/proc/{api.process.pid}/fd').iterdir():
        with contextlib.suppress(FileNotFoundError):
            if '/images/' in os.readlink(entry):
                found.append(entry)
    return found


def begun(api, image):
    """A connection on which a download has begun and is not read on."""
    client = socket.create_connection(('127.0.0.1', api.port))
    client.sendall(f'GET {image} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'.encode())
    assert client.recv(1024).startswith(b'HTTP/1.1 200 ')
    return client


def test_all_bytes_and_parts_arrive_on_one_connection(api, image, content):
    expected = content.read_bytes()
    connection = http.client.HTTPConnection('127.0.0.1', api.port)
    for asked, first, last in (
        (None, 0, SIZE - 1),
        ('bytes=5-5000005', 5, 5000005),
        ('bytes=-100000', SIZE - 100000, SIZE - 1),
        ('bytes=0-0', 0, 0),
        (None, 0, SIZE - 1),
    ):
        connection.request('GET', image, headers={'Range': asked} if asked else {})
        answer = connection.getresponse()
        assert answer.status == (206 if asked else 200)
        assert answer.read() == expected[first : last + 1]
    connection.request('HEAD', image)
    answer = connection.getresponse()
    assert (answer.getheader('Content-Length'), answer.read()) == (str(SIZE), b'')
    connection.close()
    until(lambda: not open_files(api), 'the end of open files')


def test_a_client_that_goes_away_frees_everything(api, image):
    service = psutil.Process(api.process.pid)
    before = service.num_threads()
    for _ in range(3):
        clients = [begun(api, image) for _ in range(20)]
        assert len(open_files(api)) == 20
        for client in clients:
            client.close()
        until(lambda: not open_files(api), 'the end of open files')
    assert 'was broken off by the client' in api.log
    assert service.num_threads() <= before + sendfile.THREADS
    assert 'Traceback' not in api.log


def test_clients_that_do_not_read_hold_up_nobody(api, image, content):
    """There are more of them than threads; the next download is as usual."""
    waiting = [begun(api, image) for _ in range(40)]
    assert api.call('GET', image) == (200, content.read_bytes())
    for client in waiting:
        client.close()
    until(lambda: not open_files(api), 'the end of open files')


def test_a_client_that_stops_reading_is_given_up(start, web, content):
    api = start(DEFAULT={'client_socket_timeout': 1}).await_ready()
    web.pages['/image'] = content
    task = api.ended(api.import_(f'{web.url}/image'))
    client = begun(api, f'/v2/images/{task["result"]["image_id"]}/file')
    until(lambda: not open_files(api), 'the end of open files')
    client.close()


def test_a_stop_lets_a_download_end(api, image, content):
    connection = http.client.HTTPConnection('127.0.0.1', api.port)
    connection.request('GET', image)
    answer = connection.getresponse()
    api.signal(TERM)
    api.await_log('Stopping')
    assert answer.read() == content.read_bytes()
    assert api.exit_status() == 0


def test_a_stored_file_that_is_cut_short_is_not_sent(api, image, state):
    (stored,) = (state / 'images').glob('[!.]*')
    os.truncate(stored, SIZE // 2)
    for method in ('GET', 'HEAD'):
        assert api.call(method, image, headers={'Accept': 'text/plain'})[0] == 503
    until(lambda: f'there are {SIZE // 2} of {SIZE}' in api.log, 'The log line')


def test_a_stored_file_that_is_cut_short_amid_a_download_breaks_the_connection(api, image, state):
    (stored,) = (state / 'images').glob('[!.]*')
    with contextlib.closing(http.client.HTTPConnection('127.0.0.1', api.port)) as client:
        client.request('GET', image)
        answer = client.getresponse()
        os.truncate(stored, SIZE // 2)
        with pytest.raises(http.client.IncompleteRead):
            answer.read()
    until(
        lambda: f'failed {SIZE // 2} bytes before its end: A stored image ends' in api.log,
        'The log line',
    )
    assert api.call('GET', '/healthcheck')[0] == 200
