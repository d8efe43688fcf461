"""What an import tells whose process was killed twice amid its fetch."""

import threading

import pytest

from glance.testing.source_server import Answer

from .conftest import KILL, TERM, until

MIB = 2**20
SIZE = 4 * MIB
SENT = 3 * MIB  # before the source falls silent
OPTIONS = {'taskflow': {}, 'eventlet': {'task': {'task_executor': 'eventlet'}}}


class Faltering:
    """A file of which the first requests get only a part."""

    def __init__(self, times):
        self.times = times
        self.release = threading.Event()

    def __call__(self, request):
        begin = int((request.headers.get('range') or 'bytes=0-')[6:-1])
        headers = [('ETag', '"v1"')]
        if begin:
            headers.append(('Content-Range', f'bytes {begin}-{SIZE - 1}/{SIZE}'))
        self.times -= 1
        whole = self.times < 0
        return Answer(
            b'\0' * (SIZE - begin) if whole else self._part(max(SENT - begin, 0)),
            status=206 if begin else 200,
            headers=headers,
            announced=None if whole else SIZE - begin,
        )

    def _part(self, size):
        yield b'\0' * size
        self.release.wait(60)


@pytest.fixture
def faltering(web):
    web.pages['/image'] = source = Faltering(2)
    yield source
    source.release.set()


def fetching(api, task_id, attempt):
    """Wait until the task shows the bytes of its fetch in this attempt; returns the task."""

    def shown():
        task = api.task(task_id)
        at_work = [step for step in task['steps'] if step['state'] == 'running']
        return [
            task
            for step in at_work
            if (step['name'], step['attempt']) == ('fetch', attempt)
            and step.get('bytes_done', 0) >= SENT - MIB
        ]

    return until(shown, f'the bytes of attempt {attempt}')[0]


def story(api, task_id):
    """(attempt, [what it tells]) of each attempt, in order, and all events."""
    events = api.call('GET', f'/v2/tasks/{task_id}/events?limit=1000')[1]['events']
    assert [event['seq'] for event in events] == list(range(1, len(events) + 1))
    told = {}
    for event in events:
        words = ' '.join(filter(None, (event['event'], event.get('step'))))
        told.setdefault(event.get('attempt'), []).append(words)
    return told, events


def whole(*steps):
    return [f'step.{what} {step}' for step in steps for what in ('begun', 'done')]


@pytest.mark.parametrize(
    'executor', ['taskflow', pytest.param('eventlet', marks=pytest.mark.soak)]
)
def test_an_import_that_was_killed_twice_tells_all_of_it(start, web, faltering, executor):
    options = OPTIONS[executor]
    api = start(**options).await_ready()
    task_id = api.import_(f'{web.url}/image')
    percents = []
    for attempt in (1, 2):
        percents.append(fetching(api, task_id, attempt)['progress'])
        api.signal(KILL)
        api.exit_status()
        api = start(**options).await_ready()
    task = api.ended(task_id)
    told, events = story(api, task_id)
    api.signal(TERM)
    assert api.exit_status() == 0

    begun = ['claim.resumed'] if executor == 'taskflow' else ['claim.discarded']
    again = [] if executor == 'taskflow' else whole('create-record')
    assert told == {
        None: ['task.accepted'],
        1: ['claim.begun', *whole('create-record'), 'step.begun fetch', 'claim.expired fetch'],
        2: ['claim.begun', *begun, *again, 'step.begun fetch', 'claim.expired fetch'],
        3: [
            'claim.begun',
            *begun,
            *again,
            *whole('fetch', 'check', 'store', 'finish'),
            'task.success',
        ],
    }
    processes = {event['attempt']: event['process'] for event in events[1:]}
    assert len(set(processes.values())) == 3
    assert all(event['process'] == processes[event['attempt']] for event in events[1:])
    assert task['progress'] == 100
    assert all(30 <= percent < 99 for percent in percents), percents
    fetch = next(step for step in task['steps'] if step['name'] == 'fetch')
    assert (fetch['state'], fetch['attempt'], fetch['bytes_done'], fetch['bytes_total']) == (
        'done',
        3,
        SIZE,
        SIZE,
    )


@pytest.mark.parametrize('executor', OPTIONS)
def test_an_end_that_a_kill_has_lost_is_undone_with_its_step(start, web, executor):
    """An executor that saves finished steps writes their ends with them, so none is lost."""
    web.pages['/image'] = b'bits'
    dying = start(fail_point='before-do-check', **OPTIONS[executor]).await_ready()
    task_id = dying.import_(f'{web.url}/image')
    assert dying.exit_status() == -KILL
    api = start(**OPTIONS[executor]).await_ready()
    assert api.ended(task_id)['status'] == 'success'
    told, _events = story(api, task_id)
    api.signal(TERM)
    assert api.exit_status() == 0
    if executor == 'taskflow':
        assert 'step.done fetch' in told[1]
        again = ['claim.resumed', *whole('check', 'store', 'finish')]
    else:
        again = ['claim.discarded', *whole('create-record', 'fetch', 'check', 'store', 'finish')]
    assert told[2] == ['claim.begun', *again, 'task.success']
