"""What errors are made of."""

import errno

from glance.domain import own_lack


def test_what_was_made_of_a_lack_is_one():
    made = ValueError()
    made.__cause__ = RuntimeError()
    made.__cause__.__context__ = OSError(errno.EMFILE, 'Too many open files')
    assert own_lack.is_one(made)
    assert own_lack.sentence(made) == 'Too many open files'


def test_an_error_that_is_its_own_cause_is_none():
    first, second = ValueError(), RuntimeError()
    first.__cause__, second.__context__ = second, first
    assert not own_lack.is_one(first)
