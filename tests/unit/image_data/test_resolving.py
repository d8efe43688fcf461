from glance import threads
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
