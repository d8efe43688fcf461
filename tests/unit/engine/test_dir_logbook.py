"""Logbooks in files: never another's steps, never a file too many, never a run that fails."""

import logging
import os
import shutil

import pytest
from taskflow import exceptions, states
from taskflow.persistence import models

from glance.domain import errors
from glance.domain.entry import Claim
from glance.domain.lease import Lease, LostLease, Progress
from glance.engine.dir_logbook import DirLogbooks
from glance.interfaces.flow import Flow, Group, Step

FOLDERS = ('books', 'flow_details', 'atom_details')


class Noted(Step):
    def __init__(self, name, *, commits=False):
        self.name = name
        self.commits = commits

    def do(self, lease):
        """Nothing; the tests say what it gave."""

    def is_reusable(self, given):
        return given != 'gone'


FLOW = Flow(
    'test',
    1,
    (Noted('first'), Group((Noted('left'), Noted('right'))), Noted('last', commits=True)),
    lambda lease, work: None,
    lambda lease: None,
)


class Books(DirLogbooks):
    """With a queue that knows one number, and one dead owner."""

    def __init__(self, root):
        super().__init__(root, verify_lease=self._check, is_dead=lambda owner: owner == 'dead')
        self.root = root
        self.number = 1

    def _check(self, lease):
        if lease.number != self.number:
            raise LostLease(str(lease))

    def claim(self, number, predecessor=None):
        self.number = number
        return Claim(
            Lease('t1', number), 'test', 1, {}, 0, Progress(), None, '', False, None, predecessor
        )

    def of(self, number, predecessor=None):
        return self(self.claim(number, predecessor), FLOW)

    def names(self):
        return sorted(path.name for path in self.root.glob('*'))


@pytest.fixture
def books(tmp_path):
    return Books(tmp_path / 'logbooks')


def ended(book, **given):
    """Let steps end, as an engine tells of it."""
    for name, value in given.items():
        atom = models.TaskDetail(name, f'uuid-{name}')
        atom.state = states.SUCCESS
        atom.results = value
        book.get_connection().update_atom_details(atom)


def recalled(book):
    detail = book.load(FLOW)
    return None if detail is None else {atom.name: atom.results for atom in detail}


def test_what_was_handed_back_is_known_to_the_next_claim(books):
    ended(books.of(1), first={'a': 1}, left=None)
    assert recalled(books.of(2)) == {'first': {'a': 1}, 'left': None}
    assert books.names() == ['t1.2']


def test_it_is_handed_on_from_claim_to_claim(books):
    ended(books.of(1), first=1)
    second = books.of(2)
    second.load(FLOW)
    ended(second, left=2)
    assert recalled(books.of(3, 'dead')) == {'first': 1, 'left': 2}


def test_the_logbook_of_one_that_may_live_is_not_read(books):
    ended(books.of(1), first=1)
    assert recalled(books.of(2, 'another')) is None
    assert recalled(books.of(2, 'dead')) == {'first': 1}


def test_only_the_claim_before_is_believed(books):
    """What was between may have removed what the earlier one had made."""
    ended(books.of(1), first=1)
    assert recalled(books.of(3)) is None


def test_what_does_not_hold_is_forgotten_with_all_after_it(books):
    ended(books.of(1), first='gone', left=1, right=2)
    assert recalled(books.of(2)) == {}
    assert recalled(books.of(3)) is None  # nothing was written by then


def test_a_step_done_again_is_known_by_what_it_gave_last(books):
    ended(books.of(1), first=1, left='gone', right=2)
    second = books.of(2)
    assert recalled(second) == {'first': 1, 'right': 2}
    ended(second, left=3)
    assert recalled(books.of(3)) == {'first': 1, 'left': 3, 'right': 2}


def test_what_commits_and_what_has_not_ended_well_is_not_written(books):
    book = books.of(1)
    atom = models.TaskDetail('first', 'u')
    atom.state = states.RUNNING
    book.get_connection().update_atom_details(atom)
    ended(book, last=None)
    assert books.names() == []


@pytest.mark.parametrize('content', [b'', b'{', b'[]', b'{}', b'\xff'])
@pytest.mark.parametrize('folder', FOLDERS)
def test_a_file_that_was_cut_off_or_edited_is_an_error(books, folder, content):
    """On which the conductor lets the task begin again."""
    ended(books.of(1), first=1)
    for path in (books.root / 't1.1' / folder).rglob('metadata'):
        path.write_bytes(content)
    with pytest.raises((exceptions.TaskFlowException, ValueError, TypeError, KeyError)):
        books.of(2).load(FLOW)
    books.remove(Lease('t1', 2))
    assert books.names() == []


def test_forgetting_leaves_later_claims_and_other_tasks_alone(books):
    for number in (1, 2, 10):
        ended(books.of(number), first=number)
    other = books.root / 't11.1'
    other.mkdir()
    books.remove(Lease('t1', 2))
    assert books.names() == ['t1.10', 't11.1']


def test_sweeping_removes_what_no_entry_needs_and_nothing_that_is_no_logbook(books):
    for name in ('t1.1', 't1.2', 't2.1', 'notes.txt', 'x.1'):
        (books.root / name).mkdir(parents=True)
    asked = []

    def is_queued(lease):
        asked.append(lease.task_id)
        return lease.task_id == 't2'

    books.sweep(is_queued)
    assert books.names() == ['notes.txt', 't2.1']
    assert set(asked) == {'t1', 't2', 'x'}


@pytest.mark.parametrize('begun', [True, False])
def test_a_run_that_lost_its_lease_leaves_no_file_behind(books, begun):
    stopped = books.of(1)
    if begun:
        ended(stopped, first=1)
    books.of(2)
    books.remove(Lease('t1', 2))  # the task has ended meanwhile
    with pytest.raises(LostLease):
        ended(stopped, left=2)
    assert books.names() == []


def test_a_run_that_lost_its_lease_changes_nothing_for_the_next(books):
    stopped = books.of(1)
    ended(stopped, first='old')
    second = books.of(2, 'another')
    assert recalled(second) is None
    ended(second, first='new')
    with pytest.raises(LostLease):
        ended(stopped, left='old')
    books.number = 2
    ended(second, right='new')
    assert recalled(books.of(3)) == {'first': 'new', 'right': 'new'}


def test_a_logbook_that_cannot_be_written_does_not_end_the_run(books, caplog):
    book = books.of(1)
    ended(book, first=1)

    [atoms] = books.root.glob('*/atom_details')
    shutil.rmtree(atoms)
    atoms.write_text('a file where the folder was')
    with caplog.at_level(logging.WARNING):
        ended(book, left=2, right=3)
    assert caplog.text.count('the task begins again') == 1
    assert 'Not a directory' in caplog.text
    assert recalled(books.of(2)) is None
    assert books.names() == []


def test_an_id_that_leads_elsewhere_is_refused(books):
    with pytest.raises(ValueError, match='no id of a task'):
        books.remove(Lease('../t1', 1))


def test_a_folder_of_logbooks_is_for_one_process(tmp_path):
    """A lock of another descriptor stands for one of another process: the kernel does not care."""
    first, second = Books(tmp_path / 'logbooks'), Books(tmp_path / 'logbooks')
    descriptor = first.reserve()
    with pytest.raises(
        errors.ConfigError, match='persistence = dir is for one process'
    ) as refused:
        second.reserve()
    assert str(tmp_path / 'logbooks') in str(refused.value)
    os.close(descriptor)
    os.close(second.reserve())
