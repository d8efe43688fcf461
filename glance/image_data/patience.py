"""Waits while this process lacks something that it needs: see glance.domain.own_lack."""

import logging
from collections.abc import Callable
from typing import TypeVar

from glance import interrupts
from glance.domain import own_lack

LOG = logging.getLogger(__name__)

PAUSE = 0.5  # seconds between two attempts

_Result = TypeVar('_Result')


def insist(function: Callable[[], _Result], on_wait: Callable[[], object]) -> _Result:
    """Call a function again and again while it raises nothing but a lack of this process.

    on_wait  called between two attempts; an exception from it ends the wait
    """
    is_logged = False
    while True:
        try:
            return function()
        except OSError as error:
            if not own_lack.is_one(error):
                raise
            if not is_logged:
                LOG.warning(
                    'A source waits until it can be connected to: %s',
                    error.strerror,
                    extra={'action': 'own_lack'},
                )
                is_logged = True
        interrupts.sleep(PAUSE)
        on_wait()
