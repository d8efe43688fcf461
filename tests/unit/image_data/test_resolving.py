import threading

import pytest

from glance import threads
from glance.domain import errors
from glance.domain.import_filter import ImportFilter
from glance.image_data.resolving import SystemResolver


def test_a_name_of_this_machine_has_addresses():
    found = SystemResolver().addresses('localhost', 80)
    assert '127.0.0.1' in found or '::1' in found
    assert len(found) == len(set(found))


def test_a_name_that_is_none_has_no_addresses():
    assert SystemResolver().addresses('name.invalid', 80) == []
    assert SystemResolver().addresses('a' * 64 + '.invalid', 80) == []


def test_an_answer_that_does_not_come_is_none():
    answered = threads.original('threading').Event()

    def look_up(host, port):
        answered.wait(20)
        return ['127.0.0.1']

    assert SystemResolver(timeout=0.01, look_up=look_up).addresses('localhost', 80) == []
    answered.set()


def test_it_serves_the_filter():
    target = ImportFilter(allowed_hosts=['localhost']).verify(
        'http://localhost/', SystemResolver()
    )
    assert target.addresses


class Dns:
    """Answers for each name but those that begin with "silent"; knows what it was asked."""

    def __init__(self):
        self.over = threads.original('threading').Event()
        self.asked = []

    def look_up(self, host, port):
        self.asked.append(host)
        if host.startswith('silent'):
            self.over.wait(60)
        return ['192.0.2.1']


@pytest.fixture
def dns():
    made = Dns()
    yield made
    made.over.set()


@pytest.fixture
def asking():
    """asking(resolver, name): asks in a thread of its own; the list that gets the answer."""
    begun = []

    def ask(resolver, name):
        found = []
        begun.append(threading.Thread(target=lambda: found.append(resolver.addresses(name, 80))))
        begun[-1].start()
        return found

    yield ask
    for thread in begun:
        thread.join(30)


def wait_until(true):
    for _ in range(6000):
        if true():
            return
        threading.Event().wait(0.005)
    raise AssertionError


def test_a_name_is_found_while_others_are_not_answered_for(dns, asking):
    resolver = SystemResolver(usual=2, timeout=120, look_up=dns.look_up)
    silent = [asking(resolver, f'silent-{number}') for number in range(8)]
    wait_until(lambda: len(dns.asked) == 8)
    assert resolver.addresses('good', 80) == ['192.0.2.1']
    assert silent == [[]] * 8
    dns.over.set()
    wait_until(lambda: silent == [[['192.0.2.1']]] * 8)


def test_several_names_are_looked_up_side_by_side():
    all_at_once = threads.original('threading').Barrier(10, timeout=60)

    def look_up(host, port):
        all_at_once.wait()
        return [f'192.0.2.{host}']

    places = [(str(number), 80) for number in range(10)]
    found = SystemResolver(look_up=look_up).addresses_of_all([*places, places[0]], within=60)
    assert found == [[f'192.0.2.{number}'] for number in (*range(10), 0)]


def test_several_names_take_no_longer_than_they_may(dns):
    resolver = SystemResolver(timeout=120, look_up=dns.look_up)
    places = [('silent-1', 80), ('good', 80), ('silent-2', 80)]
    assert resolver.addresses_of_all(places, within=0.5) == [[], ['192.0.2.1'], []]


def test_who_gets_no_thread_in_time_is_told_that_it_is_not_his_name(dns):
    resolver = SystemResolver(usual=1, most=1, timeout=120, look_up=dns.look_up)
    with pytest.raises(errors.Unavailable, match='try again later'):
        resolver.addresses_of_all([('silent', 80), ('good', 80)], within=0.1)


def test_all_who_ask_for_a_name_meanwhile_get_the_one_answer(dns, asking):
    resolver = SystemResolver(timeout=120, look_up=dns.look_up)
    found = [asking(resolver, 'silent') for _ in range(5)]
    wait_until(lambda: dns.asked)
    dns.over.set()
    wait_until(lambda: found == [[['192.0.2.1']]] * 5)
    assert dns.asked == ['silent']


def test_waiting_for_a_thread_is_not_the_silence_of_a_name(dns, asking):
    resolver = SystemResolver(usual=1, most=1, timeout=0.01, look_up=dns.look_up)
    assert resolver.addresses('silent', 80) == []  # and its thread is taken
    good = asking(resolver, 'good')
    wait_until(lambda: resolver._open['good', 80].asked_at is None)
    dns.over.set()
    wait_until(lambda: good == [['192.0.2.1']])
