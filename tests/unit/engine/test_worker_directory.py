"""Which worker gets a step."""

import dataclasses
import uuid

import pytest

from glance.domain.place import ANYWHERE, Place
from glance.domain.remote_steps import Announcement
from glance.engine.worker_directory import WorkerDirectory

DEPLOYMENT = str(uuid.uuid4())
ONE = Announcement('glance.one', 'host', 'area', '1.0', DEPLOYMENT, ['default'], ['fast'], 3, 3)


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
    assert directory.choose(earlier='glance.one') == 'glance.one'


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


FILES = Place('area', 'fast', 'host')


@pytest.mark.parametrize(
    ('place', 'chosen'),
    [
        (ANYWHERE, 'glance.other'),
        (Place(store='fast'), 'glance.one'),
        (Place(store='safe'), 'glance.other'),
        (Place('area'), 'glance.one'),
        (Place('elsewhere'), 'glance.other'),
        (FILES, 'glance.one'),
        (Place('elsewhere', 'fast'), None),
        (Place(store='none'), None),
    ],
)
def test_a_step_goes_where_its_files_and_its_store_are(directory, place, chosen):
    directory.note(ONE)
    directory.note(other(slots=9, free=5, host='b', area='elsewhere', stores=['safe']))
    assert directory.choose(place) == chosen
    assert directory.choose(place, earlier='glance.one', area='area') == (
        'glance.one' if place == ANYWHERE else chosen
    )
    assert directory.is_served(place) == (chosen is not None)


def test_a_worker_where_an_earlier_claim_has_staged_is_preferred(directory):
    directory.note(ONE)
    directory.note(other(slots=9, free=5, area='elsewhere'))
    assert directory.choose(area='area') == 'glance.one'
    assert directory.area_of('glance.other') == 'elsewhere'
    for _ in range(3):
        directory.begin('glance.one')
    assert directory.choose(area='area') == 'glance.other'
    assert directory.missing(FILES) is None  # only busy


IMPORT = Place(flow=('import', 2))


@pytest.mark.parametrize('types', [{}, {'copy': 2}, {'import': 1}, {'import': 3}])
def test_only_one_that_knows_the_task_type_in_its_version_is_chosen(directory, types):
    directory.note(other(slots=9, free=9, types=types))
    assert directory.choose(IMPORT) is None
    assert directory.missing(IMPORT) == (
        'None of the 1 workers that can be used knows the task type "import", version 2'
    )
    directory.note(dataclasses.replace(ONE, types={'copy': 1, 'import': 2}))
    assert directory.choose(IMPORT) == 'glance.one'
    assert directory.missing(IMPORT) is None


def test_a_store_is_looked_for_among_those_that_know_the_task_type(directory):
    directory.note(dataclasses.replace(ONE, types={'import': 2}))
    directory.note(other(stores=['safe']))
    place = Place(store='safe', flow=('import', 2))
    assert directory.choose(place) is None
    assert directory.missing(place) == (
        'None of the 1 workers that can be used has the store "safe"'
    )


@pytest.fixture
def see(directory):
    """see(**folders): what this process sees under the names of its stores."""

    def look(**folders):
        directory.look_at_folders = lambda: folders
        directory.note_folders()

    return look


STORED = Place(store='fast')


def test_a_store_is_used_at_workers_that_have_the_same_folder(directory, see):
    see(fast='mine')
    directory.note(other(slots=9, free=9, host='b', folders={'fast': 'local'}))
    assert directory.choose(STORED) is None
    assert not directory.is_served(STORED)
    assert directory.choose() == 'glance.other'  # for what needs no store
    assert directory.missing(STORED) == (
        'None of the 1 workers that can be used has the store "fast" '
        '(host b: another folder for it)'
    )
    directory.note(dataclasses.replace(ONE, folders={'fast': 'mine'}))
    assert directory.choose(STORED) == 'glance.one'
    assert directory.missing(STORED) is None


def test_a_store_is_used_at_a_worker_with_no_folder_if_this_process_has_none_either(
    directory, see
):
    directory.note(ONE)
    see(safe='s1')
    assert directory.choose(STORED) == 'glance.one'
    see(fast='f1')
    assert directory.choose(STORED) is None


def test_a_folder_that_this_process_does_not_see_any_more_stays_the_right_one(directory, see):
    directory.note(dataclasses.replace(ONE, folders={'fast': 'local'}))
    see(fast='mine')
    see()
    assert directory.choose(STORED) is None
    see(fast='local')
    assert directory.choose(STORED) == 'glance.one'


def test_not_all_hosts_with_another_folder_are_named(directory, see):
    see(fast='mine')
    for number in range(5):
        directory.note(other(worker=f'w{number}', host=f'h{number}', folders={'fast': 'local'}))
    assert '(host h0, h1, h2 and 2 more: another' in directory.missing(STORED)


@pytest.mark.parametrize(
    ('place', 'what'),
    [
        (Place(store='safe'), 'the store "safe"'),
        (Place('gone', host='h2'), 'the files that were staged on host h2'),
        (
            Place('gone', 'fast', 'h2'),
            'the files that were staged on host h2 and the store "fast"',
        ),
    ],
)
def test_what_no_worker_has_is_named(directory, place, what):
    directory.note(ONE)
    assert directory.missing(place) == f'None of the 1 workers that can be used has {what}'
