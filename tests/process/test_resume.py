"""An import that was cut off amid its bytes goes on where it was."""

import hashlib
import os
import threading

import pytest

from glance.testing.source_server import Answer

from .conftest import KILL, TERM, left_behind, staged, until

MIB = 2**20
SIZE = 100 * MIB + 7
SENT = 70 * MIB  # before the source falls silent
TAG = '"v1"'


class Halting:
    """A file of which the first request gets only a part, until go_on() is called."""

    def __init__(self, folder, tag=TAG):
        self.path = folder / 'source'
        with self.path.open('wb') as file:
            for _ in range(SIZE // MIB):
                file.write(os.urandom(MIB))
            file.write(b'\0' * (SIZE % MIB))
        self.tag = tag
        self.ranges = []
        self.go_on = threading.Event()

    def __call__(self, request):
        self.ranges.append(request.headers.get('range'))
        headers = [('ETag', self.tag)]
        if len(self.ranges) > 1:
            return Answer(self.path, headers=headers)
        return Answer(self._part(), headers=headers, announced=SIZE)

    def _part(self):
        with self.path.open('rb') as file:
            for _ in range(SENT // MIB):
                yield file.read(MIB)
        self.go_on.wait(60)

    def sha512(self):
        with self.path.open('rb') as file:
            return hashlib.file_digest(file, 'sha512').hexdigest()


@pytest.fixture
def halting(tmp_path, web):
    source = Halting(tmp_path)
    web.pages['/image'] = source
    yield source
    source.go_on.set()


def checkpoint(state):
    return list((state / 'staging').glob('*/*/image.checkpoint'))


def halted(start, state, web, **options):
    """A glance-api amid the import, a checkpoint behind it; and the task."""
    api = start(**options).await_ready()
    task_id = api.import_(f'{web.url}/image')
    # The last MiB waits in memory for more.
    until(lambda: checkpoint(state) and staged(state) >= SENT - MIB, 'what the source has sent')
    return api, task_id


def ended_well(api, task_id, state, source):
    task = api.ended(task_id)
    assert task['status'] == 'success', task
    image = api.call('GET', f'/v2/images/{task["result"]["image_id"]}')[1]
    assert (image['size'], image['os_hash_value']) == (SIZE, source.sha512())
    api.signal(TERM)
    assert api.exit_status() == 0
    [stored] = left_behind(state)
    with open(state / stored, 'rb') as file:
        assert hashlib.file_digest(file, 'sha512').hexdigest() == source.sha512()


@pytest.mark.parametrize('how', [KILL, TERM], ids=['killed', 'stopped'])
def test_the_next_process_goes_on_at_the_checkpoint(start, state, web, halting, how):
    options = {'DEFAULT': {'graceful_shutdown_timeout': 6}}
    api, task_id = halted(start, state, web, **options)
    api.signal(how)
    api.exit_status()
    [found] = (state / 'staging').glob('*/*/image')
    inode = found.stat().st_ino

    api = start(**options).await_ready()
    at, of = api.await_log(r'the fetch goes on at byte (\d+) of (\d+)').groups()
    assert int(of) == SIZE
    assert 64 * MIB <= int(at) <= SENT
    ended_well(api, task_id, state, halting)
    [stored] = (state / 'images').glob('*-*')
    assert stored.stat().st_ino == inode  # not a byte of it was copied
    assert halting.ranges == [None, f'bytes={at}-']


def test_not_a_byte_that_a_killed_process_received_is_fetched_again(start, state, web, halting):
    api, task_id = halted(start, state, web)
    api.signal(KILL)
    api.exit_status()
    [found] = (state / 'staging').glob('*/*/image')
    written = found.stat().st_size
    api = start().await_ready()
    api.await_log(f'the fetch goes on at byte {written} of {SIZE}')
    ended_well(api, task_id, state, halting)


def test_of_another_file_nothing_is_used(start, state, web, halting):
    api, task_id = halted(start, state, web)
    api.signal(KILL)
    api.exit_status()
    halting.tag = '"v2"'
    with halting.path.open('r+b') as file:
        file.write(b'another file')

    api = start().await_ready()
    api.await_log('does not confirm that its file is still the same; the fetch begins again')
    ended_well(api, task_id, state, halting)


def test_where_the_staged_bytes_are_not_to_be_seen_it_begins_again(
    start, state, web, halting, tmp_path
):
    api, task_id = halted(start, state, web)
    api.signal(KILL)
    api.exit_status()

    api = start(task={'work_dir': tmp_path / 'elsewhere'}).await_ready()
    assert api.ended(task_id)['status'] == 'success'
    assert halting.ranges == [None, None]
    assert 'goes on at byte' not in api.log


def test_the_eventlet_executor_begins_again(start, state, web, halting):
    options = {'task': {'task_executor': 'eventlet'}}
    api, task_id = halted(start, state, web, **options)
    api.signal(KILL)
    api.exit_status()
    api = start(**options).await_ready()
    ended_well(api, task_id, state, halting)
    assert halting.ranges == [None, None]


def test_a_process_killed_while_it_waits_for_a_retry_loses_nothing(start, state, web):
    """Not even the last bytes, of which there were too few to be written by themselves."""
    body, sent = os.urandom(4 * MIB), 2 * MIB + 5
    web.pages['/image'] = Answer(body, cut=sent)
    later = {'import_filtering_opts': {'retry_delay': 1000, 'retry_delay_max': 1000}}
    allowed = {'allowed_hosts': '127.0.0.1', 'allowed_ports': web.port}
    later['import_filtering_opts'] |= allowed | {'retry_timeout': 6000}
    api = start(**later).await_ready()
    task_id = api.import_(f'{web.url}/image')
    api.await_log('retry 1 of the fetch in')
    until(lambda: checkpoint(state) and staged(state) > sent, 'what the source has sent')
    api.signal(KILL)
    api.exit_status()

    web.pages['/image'] = body
    api = start(**later).await_ready()
    api.await_log(f'the fetch goes on at byte {sent} of {len(body)}')
    task = api.ended(task_id)
    assert task['status'] == 'success', task
    assert [request.headers.get('range') for request in web.requests] == [None, f'bytes={sent}-']
