"""Which messages between conductors and workers are ours."""

import json
import uuid

import pytest

from glance.domain.lease import Lease
from glance.domain.remote_steps import (
    Announcement,
    Answer,
    Beat,
    Ending,
    Heard,
    NotOurs,
    Order,
    Question,
    Sweep,
    from_wire,
    to_wire,
)

ID, OTHER_ID = str(uuid.uuid4()), str(uuid.uuid4())
MESSAGES = [
    Order(ID, 2, 'fetch', 'glance.conductor-1', OTHER_ID),
    Answer('glance.worker-1', ID, Ending.DONE),
    Heard(ID),
    Beat('glance.worker-1', {ID: 1048576, OTHER_ID: -1}),
    Announcement(
        *('glance.worker-1', 'host', 'area', '0.1.0', ID, ['default'], ['fast'], 10, 3),
        types={'import': 2},
        folders={'fast': 'f1'},
    ),
    Sweep(ID),
    Question(),
]


@pytest.mark.parametrize('message', MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_survives_the_wire(message):
    assert from_wire(json.loads(json.dumps(to_wire(message)))) == message


@pytest.mark.parametrize('message', MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_with_another_field_is_refused(message):
    with pytest.raises(NotOurs, match='fields'):
        from_wire(to_wire(message) | {'path': '/etc/shadow'})


@pytest.mark.parametrize('message', MESSAGES[:-1], ids=lambda message: type(message).__name__)
def test_a_message_that_lacks_a_field_is_refused(message):
    data = to_wire(message)
    data.popitem()
    with pytest.raises(NotOurs, match='fields'):
        from_wire(data)


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        ({'schema': 1}, 'schema'),
        ({'kind': 'stop'}, 'kind'),
        ({'kind': ['order']}, 'kind'),
        ({'task_id': '../../etc'}, 'task_id'),
        ({'task_id': None}, 'task_id'),
        ({'lease': 0}, 'lease'),
        ({'lease': '2'}, 'lease'),
        ({'lease': 2**31}, 'lease'),  # no database has such a number
        ({'lease': True}, 'lease'),
        ({'step': 'a\nb'}, 'step'),
        ({'step': 'x' * 256}, 'step'),
        ({'reply_to': ''}, 'reply_to'),
        ({'sending': 'other'}, 'sending'),
    ],
)
def test_an_order_with_a_wrong_value_is_refused(change, reason):
    with pytest.raises(NotOurs, match=f'{reason}'):
        from_wire(to_wire(MESSAGES[0]) | change)


@pytest.mark.parametrize(
    'data', [None, [], 'order', 7, {}, to_wire(MESSAGES[1]) | {'ending': 'success'}]
)
def test_what_is_no_message_is_refused(data):
    with pytest.raises(NotOurs):
        from_wire(data)


@pytest.mark.parametrize(
    'at_work', [{'x': 1}, {ID: 'all'}, {ID: True}, {ID: 1.5}, {ID: -2}, {ID: 2**50 + 1}]
)
def test_a_beat_with_wrong_numbers_is_refused(at_work):
    with pytest.raises(NotOurs, match='at_work'):
        from_wire(to_wire(MESSAGES[3]) | {'at_work': at_work})


@pytest.mark.parametrize('types', [{'a\nb': 1}, {'import': '2'}, {'import': True}])
def test_an_announcement_with_wrong_task_types_is_refused(types):
    with pytest.raises(NotOurs, match='types'):
        from_wire(to_wire(MESSAGES[4]) | {'types': types})


@pytest.mark.parametrize('number', [-1, 2**31, True, 1.0, '1'])
@pytest.mark.parametrize('name', ['slots', 'free'])
def test_an_announcement_with_wrong_numbers_is_refused(name, number):
    with pytest.raises(NotOurs, match=name):
        from_wire(to_wire(MESSAGES[4]) | {name: number})


@pytest.mark.parametrize(
    'folders', [{'a\nb': 'x'}, {'fast': 1}, {'fast': '../x'}, {'fast': ''}, ['fast']]
)
def test_an_announcement_with_wrong_folders_is_refused(folders):
    with pytest.raises(NotOurs, match='folders'):
        from_wire(to_wire(MESSAGES[4]) | {'folders': folders})


def test_an_order_names_a_lease():
    assert MESSAGES[0].of == Lease(ID, 2)
