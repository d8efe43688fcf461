"""What every Resolver promises, as a test suite."""

import ipaddress

from glance.interfaces.resolver import Resolver


class ResolverContract:
    """Mix in; define make_resolver(): it must know known_name and not unknown_name."""

    known_name = 'localhost'
    unknown_name = 'name.invalid'

    def make_resolver(self) -> Resolver:
        raise NotImplementedError

    def test_a_name_has_its_addresses_as_text(self) -> None:
        found = self.make_resolver().addresses(self.known_name, 80)
        assert found
        for address in found:
            ipaddress.ip_address(address)

    def test_no_address_is_given_twice(self) -> None:
        found = self.make_resolver().addresses(self.known_name, 80)
        assert len(found) == len(set(found))

    def test_an_unknown_name_has_no_addresses(self) -> None:
        assert self.make_resolver().addresses(self.unknown_name, 80) == []

    def test_several_names_are_answered_in_order(self) -> None:
        resolver = self.make_resolver()
        places = [(self.unknown_name, 80), (self.known_name, 80), (self.known_name, 81)]
        found = resolver.addresses_of_all(places, within=60)
        assert [bool(addresses) for addresses in found] == [False, True, True]
        assert set(found[1]) == set(resolver.addresses(self.known_name, 80))
