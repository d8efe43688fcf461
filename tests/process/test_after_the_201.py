"""A task that was answered with 201 is there, whatever happens right after."""

import json
import os
import re
import socket
import time

import pytest

from .conftest import KILL

PROMPT = 0.001  # seconds between the answer and the end of the process
# Each of these processes takes up what those before it left, and dies of something else.
OPTIONS = {'task': {'max_attempts': 1000}}


def post_and_kill(api, address):
    """Post an import and kill -9 the process when its answer comes.

    Returns the id of the task, and the seconds from the answer to the kill.
    """
    body = json.dumps(
        {
            'type': 'import',
            'input': {'import_from': address, 'import_from_format': 'raw', 'image_properties': {}},
        }
    ).encode()
    head = (
        'POST /v2/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n'
        f'Content-Length: {len(body)}\r\n\r\n'
    ).encode()
    with socket.create_connection(('127.0.0.1', api.port)) as client:
        client.settimeout(30)
        client.sendall(head + body)
        answer = client.recv(65536)
        answered = time.perf_counter()
        os.kill(api.process.pid, KILL)
        killed = time.perf_counter()
    assert answer.startswith(b'HTTP/1.1 201 '), answer
    api.exit_status()
    return re.search(rb'(?i)location: \S+/tasks/(\S+)', answer)[1].decode(), killed - answered


@pytest.mark.timeout(300)
@pytest.mark.parametrize('count', [8, pytest.param(100, marks=pytest.mark.soak)])
@pytest.mark.usefixtures('recorded')
def test_no_task_is_lost_when_its_process_dies_right_after_the_answer(start, web, settled, count):
    content = b'bits of an image'
    web.pages['/image'] = content
    address = f'{web.url}/image'
    accepted, prompt = [], 0
    while prompt < count:
        task_id, seconds = post_and_kill(start(**OPTIONS).await_ready(), address)
        accepted.append(task_id)
        prompt += seconds < PROMPT
        assert len(accepted) < 10 * count, 'this machine is too slow to kill in time'

    api = start(**OPTIONS).await_ready()
    for task_id in accepted:
        assert api.ended(task_id)['status'] == 'success'
    ends = settled({address: content})
    assert set(ends) == set(accepted)
