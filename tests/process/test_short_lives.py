"""Imports end although no process lives long enough for one of them."""

import time

import pytest

from glance.testing.source_server import Answer

from .conftest import KILL, until

MIB = 2**20
TAG = '"v1"'

pytestmark = pytest.mark.soak


class Paced:
    """A file that is sent at so many bytes per second, from any byte on; sent counts them."""

    def __init__(self, size, rate):
        self.content = bytes(range(256)) * (size // 256)
        self._rate = rate
        self.sent = 0

    def __call__(self, request):
        begin = int(request.headers.get('range', 'bytes=0-')[len('bytes=') : -1])
        size = len(self.content)
        headers = [('ETag', TAG)]
        if begin:
            headers.append(('Content-Range', f'bytes {begin}-{size - 1}/{size}'))
        return Answer(self._pieces(begin), 206 if begin else 200, headers, announced=size - begin)

    def _pieces(self, begin):
        piece = self._rate // 16
        for at in range(begin, len(self.content), piece):
            data = self.content[at : at + piece]
            self.sent += len(data)
            yield data
            time.sleep(1 / 16)  # the pace of a network


@pytest.mark.parametrize(
    ('way', 'imports', 'size', 'rate', 'life', 'kills'),
    [
        ('taskflow', 10, 20 * MIB, MIB, 3, 8),
        ('eventlet', 10, 20 * MIB, 4 * MIB, 1, 8),
        ('taskflow', 2, 320 * MIB, 16 * MIB, 7.8, 6),
    ],
)
def test_an_import_outlives_its_processes(
    start, web, settled, way, imports, size, rate, life, kills
):
    source = web.pages['/image'] = Paced(size, rate)
    options = {'task': {'task_executor': way}}
    api = start(**options).await_ready()
    task_ids = [api.import_(f'{web.url}/image') for _ in range(imports)]
    for _ in range(kills):
        end = time.monotonic() + life
        until(lambda end=end: time.monotonic() > end, 'the end of a life')
        api.signal(KILL)
        api.exit_status()
        api = start(**options).await_ready()
    tasks = [api.ended(task_id) for task_id in task_ids]
    assert {task['status'] for task in tasks} == {'success'}, tasks
    if way == 'taskflow':  # less than 2 s of bytes again in each life, but for unsaved first MiBs
        assert source.sent - imports * size < imports * kills * 2 * rate
    settled({f'{web.url}/image': source.content})
