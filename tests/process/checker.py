"""What must be true of database, store and staging once all tasks have ended."""

import contextlib
import hashlib
import json
import pathlib
import sqlite3


def check(state, sources=None):
    """Every task has one end; no image without bytes, no bytes without image; nothing waits.

    state    the state folder of the deployment
    sources  address to the bytes it serves: what each successful import must hold

    Returns {task id: (status, message, image id or None)}.
    """
    state = pathlib.Path(state)
    with contextlib.closing(sqlite3.connect(state / 'glance.sqlite')) as database:
        database.row_factory = sqlite3.Row
        rows = {
            name: [dict(row) for row in database.execute(f'SELECT * FROM {name}')]
            for name in (
                'tasks',
                'task_info',
                'task_queue',
                'images',
                'image_locations',
                'logbooks',
                'flowdetails',
                'atomdetails',
            )
        }
    for name in ('task_queue', 'logbooks', 'flowdetails', 'atomdetails'):
        assert rows[name] == [], f'{name} holds what nobody needs: {rows[name]}'
    ends = {}
    info = {row['task_id']: row for row in rows['task_info']}
    for task in rows['tasks']:
        assert task['status'] in ('success', 'failure'), task
        result = json.loads(info[task['id']]['result'] or 'null')
        assert (result is not None) == (task['status'] == 'success'), task
        assert bool(info[task['id']]['message']) == (task['status'] == 'failure'), info[task['id']]
        image = result and result['image_id']
        ends[task['id']] = task['status'], info[task['id']]['message'], image
    living = {row['id']: row for row in rows['images'] if not row['deleted']}
    made = [image for _status, _message, image in ends.values() if image]
    assert len(made) == len(set(made)), 'an image has two tasks'
    assert set(living) == set(made), 'images without a successful task, or the reverse'
    _check_bytes(state, living, rows['image_locations'])
    assert list((state / 'staging').iterdir()) == [], 'something is left in staging'
    if sources is not None:
        for task_id, (_status, _message, image) in ends.items():
            if image:
                source = json.loads(info[task_id]['input'])['import_from']
                expected = hashlib.sha512(sources[source]).hexdigest()
                assert living[image]['os_hash_value'] == expected
    return ends


def _check_bytes(state, living, locations):
    named = set()
    for location in locations:
        assert location['status'] == 'active', location
        assert location['image_id'] in living, location
        path = pathlib.Path(location['value'].removeprefix('file://'))
        image = living[location['image_id']]
        assert image['status'] == 'active', image
        digest = hashlib.sha512(path.read_bytes()).hexdigest()
        assert digest == image['os_hash_value'], f'{path} holds other bytes'
        named.add(path)
    assert len(named) == len(living), 'an image has no bytes, or two copies'
    assert set((state / 'images').iterdir()) == named, 'bytes without an image'
