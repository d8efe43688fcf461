"""Waits for work in another thread."""

import pytest

from glance import native_threads
from glance.image_data import files


class FinishedWhenAsked(native_threads.Future):
    """Its work ends after a wait was over, and before anybody asks whether it is done."""

    def done(self):
        if not super().done():
            self.set_result('the result')
        return True


def test_work_that_ends_as_a_wait_ends_is_no_failure():
    future = FinishedWhenAsked()

    assert files.wait_for(future, future.done, tick=0.01) == 'the result'


def test_a_timeout_of_the_work_itself_is_raised():
    future = native_threads.Future()
    future.set_exception(TimeoutError('of the disk'))

    with pytest.raises(TimeoutError, match='of the disk'):
        files.wait_for(future, lambda: None, tick=0.01)
