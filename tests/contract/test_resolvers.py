"""Does each resolver keep the promises of Resolver?"""

from glance.image_data.resolving import SystemResolver
from glance.testing.contracts.resolver import ResolverContract
from glance.testing.fakes.resolver import FakeResolver


class TestFake(ResolverContract):
    def make_resolver(self):
        return FakeResolver({'localhost': ['127.0.0.1', '::1']})


class TestSystem(ResolverContract):
    def make_resolver(self):
        return SystemResolver()


def test_answers_of_the_fake_follow_each_other():
    resolver = FakeResolver({'known.example': ['192.0.2.1']}, default=['192.0.2.2'])
    resolver.answers['turns.example'] = [['192.0.2.3'], ['192.0.2.4']]
    found = [resolver.addresses('turns.example', 80) for _ in range(3)]
    assert found == [['192.0.2.3'], ['192.0.2.4'], ['192.0.2.4']]
    assert resolver.addresses('known.example', 80) == ['192.0.2.1']
    assert resolver.addresses('other.example', 443) == ['192.0.2.2']
    assert resolver.asked[-1] == ('other.example', 443)
