"""What the log says of an outage of the broker."""

import time

import pytest

from glance.messaging import outage


@pytest.fixture
def log(caplog):
    caplog.set_level('INFO', outage.__name__)
    return lambda: [record.action for record in caplog.records]


def test_an_outage_is_told_once_however_often_it_is_noticed(log):
    told = outage.OutageLog()
    for _ in range(20):
        told.trouble('it is silent')
    assert log() == ['broker_away']


def test_its_end_is_told_once(log):
    told = outage.OutageLog()
    told.trouble('refused')
    for _ in range(3):
        told.heard(time.monotonic())
    assert log() == ['broker_away', 'broker_back']


def test_a_message_from_before_the_outage_does_not_end_it(log):
    told = outage.OutageLog()
    before = time.monotonic()
    told.trouble('refused')
    told.heard(before)
    assert log() == ['broker_away']


def test_where_all_is_well_nothing_is_told(log):
    outage.OutageLog().heard(time.monotonic())
    assert log() == []


def test_a_second_outage_is_told_too(log):
    told = outage.OutageLog()
    for _ in range(2):
        told.trouble('refused')
        told.heard(time.monotonic())
    assert log() == ['broker_away', 'broker_back'] * 2
