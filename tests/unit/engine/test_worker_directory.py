"""Which worker gets a step."""

import dataclasses
import uuid

import pytest

from glance.domain.remote_steps import Announcement
from glance.engine.worker_directory import WorkerDirectory

DEPLOYMENT = str(uuid.uuid4())
ONE = Announcement('glance.one', 'host', '1.0', DEPLOYMENT, ['default'], ['fast'], 3, 3)


@pytest.fixture
def directory():
    return WorkerDirectory('1.0', DEPLOYMENT, ['default', 'large'], silence=5)


def other(**changes):
    return dataclasses.replace(ONE, **{'worker': 'glance.other'} | changes)


def test_the_one_with_most_free_slots_is_chosen(directory):
    directory.note(ONE)
    directory.note(other(slots=9, free=5))
    assert directory.choose() == 'glance.other'


def test_the_one_that_did_the_step_before_is_chosen_again(directory):
    directory.note(ONE)
    directory.note(other(slots=9, free=5))
    assert directory.choose('glance.one') == 'glance.one'


@pytest.mark.parametrize(
    'changes', [{'version': '1.1'}, {'deployment': str(uuid.uuid4())}, {'topics': ['small']}]
)
def test_one_that_does_not_fit_is_known_and_not_chosen(directory, changes):
    directory.note(other(**changes))
    assert len(directory) == 1
    assert directory.choose() is None
    assert 'None of the 1 workers' in directory.missing()


def test_one_that_leaves_is_chosen_no_more_and_forgotten_when_it_has_done_its_work(directory):
    directory.note(ONE)
    directory.begin('glance.one')
    directory.note(dataclasses.replace(ONE, leaving=True))
    assert directory.choose() is None
    assert directory.elapse(6) == ['glance.one']  # it may be lost, too
    directory.note(ONE)
    directory.begin('glance.one')
    directory.note(dataclasses.replace(ONE, leaving=True))
    directory.end('glance.one')
    assert len(directory) == 0
    directory.note(dataclasses.replace(ONE, leaving=True))
    assert directory.elapse(6) == []


def test_what_this_process_has_sent_counts_before_the_worker_says_so(directory):
    directory.note(ONE)
    for _ in range(3):
        directory.begin(directory.choose())
    assert directory.choose() is None
    assert directory.missing() is None  # there is one, only busy
    directory.end('glance.one')
    assert directory.choose() == 'glance.one'


def test_one_that_is_silent_too_long_is_lost(directory):
    directory.note(ONE)
    directory.note(other())
    assert directory.elapse(4) == []
    directory.heard('glance.other')
    assert directory.elapse(2) == ['glance.one']
    assert directory.elapse(2) == []
    assert directory.choose() == 'glance.other'


def test_nobody_is_there(directory):
    assert directory.choose() is None
    assert directory.missing() == 'No worker has announced itself'
