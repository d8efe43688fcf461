"""Clients that wait for the end of a task, and clients that send a request twice."""

import concurrent.futures
import contextlib
import http.client
import json
import socket

import pytest

from .conftest import PATIENCE, TERM, until

TWO = {'workers': 2, 'graceful_shutdown_timeout': 10}


@pytest.fixture
def two(start):
    """A glance-api of two processes, both of which serve."""
    api = start(DEFAULT=TWO).await_ready()
    until(lambda: api.log.count('Serving as process') == 2, 'the start of both workers')
    return api


def request(api, method, path, body=None, **headers):
    """(status, headers, bytes) of a request on a connection of its own."""
    connection = http.client.HTTPConnection('127.0.0.1', api.port, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request(method, path, body, {'Accept': 'application/json'} | headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def test_sigterm_answers_all_who_wait_and_no_limit_of_an_address_closes_them(start, web):
    api = start(DEFAULT={'max_waiting_connections_per_address': 5}).await_ready()
    web.pages['/slow'] = web.silence()
    task_id = api.import_(f'{web.url}/slow')
    web.await_request('/slow')
    clients = []
    try:
        for _ in range(20):
            client = socket.create_connection(('127.0.0.1', api.port), PATIENCE)
            clients.append(client)
            client.sendall(
                f'GET /v2/tasks/{task_id}?wait=120 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'.encode()
            )
        # One more that is answered says that the server has read what came before.
        assert api.task(task_id)['status'] == 'processing'
        api.signal(TERM)
        for client in clients:
            answer = http.client.HTTPResponse(client)
            answer.begin()
            assert answer.status == 200
            assert json.loads(answer.read())['status'] == 'processing'
    finally:
        for client in clients:
            client.close()
    assert api.exit_status() == 0


def test_of_requests_with_one_key_at_the_same_time_one_makes_a_task(two, web, query):
    web.pages['/image'] = b'bits'
    body = json.dumps(
        {
            'type': 'import',
            'input': {
                'import_from': f'{web.url}/image',
                'import_from_format': 'raw',
                'image_properties': {'id': '11111111-1111-4111-8111-111111111111'},
            },
        }
    )

    def post(_number):
        return request(
            two,
            'POST',
            '/v2/tasks',
            body,
            **{'Content-Type': 'application/json', 'Idempotency-Key': 'once'},
        )

    with concurrent.futures.ThreadPoolExecutor(20) as clients:
        answers = list(clients.map(post, range(20)))
    assert {status for status, _, _ in answers} == {201}
    assert len({body for _, _, body in answers}) == 1
    assert len({headers['Location'] for _, headers, _ in answers}) == 1
    assert [headers['Idempotency-Replayed'] for _, headers, _ in answers].count(None) == 1
    assert query('SELECT count(*) FROM tasks') == [(1,)]
    task_id = json.loads(answers[0][2])['id']
    status, headers, shown = request(two, 'GET', f'/v2/tasks/{task_id}?wait=60')
    assert (status, json.loads(shown)['status']) == (200, 'success')
    assert float(headers['Glance-Waited']) < 60
    assert post(0)[2] == answers[0][2]  # still as it was accepted
