import ipaddress

import pytest

from glance.domain import errors
from glance.domain.import_filter import ImportFilter, is_public, mask


class Names:
    """A resolver that knows a few names, and counts how often it is asked."""

    def __init__(self, **known):
        self.known = {name.replace('_', '.'): found for name, found in known.items()}
        self.asked = []

    def addresses(self, host, port):
        self.asked.append((host, port))
        return self.known.get(host, [])


PUBLIC = Names(example_org=['93.184.215.14', '2606:2800:21f:cb07:6820:80da:af6b:8b2c'])


def refusal(url, resolver=PUBLIC, **lists):
    with pytest.raises(errors.SourceRefused) as caught:
        ImportFilter(**lists).verify(url, resolver)
    sentence = str(caught.value)
    assert ' does not pass filtering: ' in sentence
    return sentence


def passes(url, resolver=PUBLIC, **lists):
    return ImportFilter(**lists).verify(url, resolver)


def test_a_public_source_passes_with_the_addresses_that_were_checked():
    target = passes('http://example.org/images/a.img?x=1')
    assert (target.scheme, target.host, target.port) == ('http', 'example.org', 80)
    assert target.addresses == ('93.184.215.14', '2606:2800:21f:cb07:6820:80da:af6b:8b2c')
    assert target.path == '/images/a.img?x=1'
    assert target.login is None


def test_a_name_is_resolved_once():
    names = Names(example_org=['93.184.215.14'])
    passes('https://Example.ORG./a', names)
    assert names.asked == [('example.org', 443)]


@pytest.mark.parametrize(
    'address',
    ['file:///etc/passwd', 'ftp://example.org/a', 'filesystem:///a', 'gopher://example.org'],
)
def test_other_schemes_are_refused(address):
    assert f'its scheme "{address.partition(":")[0]}" is not allowed' in refusal(address)


def test_a_scheme_that_cannot_be_fetched_is_refused_even_if_it_is_allowed():
    assert 'neither http nor https' in refusal('ftp://example.org/', allowed_schemes=['ftp'])
    assert 'neither http nor https' in refusal('ftp://example.org/', allowed_schemes=[])


@pytest.mark.parametrize(
    ('url', 'fact'),
    [
        ('example.org/a', 'it has no scheme'),
        ('', 'it has no scheme'),
        ('http:///a', 'it has no host'),
        ('http://:80/a', 'it has no host'),
        ('http://[::1/a', 'it cannot be parsed'),
        ('http://example.org:http/', 'its port is not a number'),
        ('http://example.org:65536/', 'its port is not a number'),
        ('http://exa mple.org/', 'a space, a backslash'),
        ('http://exam\tple.org/', 'a control character'),
        ('http://example.org\\@127.0.0.1/', 'a backslash'),
        ('http://example..org/', 'not a valid name'),
        ('http://exam%70le.org/', 'not a valid name'),
        ('http://b\u00fccher.example/', 'in its "xn--" form'),
    ],
)
def test_what_is_malformed_is_refused_with_the_fact(url, fact):
    assert fact in refusal(url)


@pytest.mark.parametrize(
    'host',
    [
        '2130706433',
        '127.1',
        '127.0.1',
        '0',
        '1.2.3.4.5',
        '010.0.0.1',
        '127.0.0.256',
        '0x7f000001',
        '0x7f.1',
        '0177.0.0.1',
        '8.8.0x8.8',
        '0x',
    ],
)
def test_numbers_that_are_no_standard_address_are_refused_without_asking_anybody(host):
    names = Names()
    names.addresses = lambda *_: pytest.fail('It was resolved.')
    sentence = refusal(f'http://{host}/', names, allowed_hosts=[host])
    assert f'its host {host} is a number that is not written as an IP address' in sentence


@pytest.mark.parametrize(
    'address',
    [
        '127.0.0.1',
        '10.1.2.3',
        '172.16.0.1',
        '192.168.0.1',
        '169.254.169.254',
        '100.64.0.1',
        '0.0.0.0',
        '224.0.0.1',
        '239.1.1.1',
        '240.0.0.1',
        '255.255.255.255',
        '192.0.2.1',
        '198.18.0.1',
        '192.88.99.1',
        '::',
        '::1',
        'fe80::1',
        'fe80::1%1',
        'fc00::1',
        'fd12::1',
        'ff02::1',
        'fec0::1',
        '2001:db8::1',
        '2001::1',
        '64:ff9b:1::a00:1',
        '100::1',
        '5f00::1',
        '::ffff:127.0.0.1',
        '::ffff:10.0.0.1',
        '::127.0.0.1',
        '::7f00:1',
        '64:ff9b::7f00:1',
        '64:ff9b::10.0.0.1',
        '2002:7f00:1::',
        '2002:a00:1::1',
    ],
)
def test_addresses_that_are_not_public_are_refused_whatever_they_are_wrapped_in(address):
    assert not is_public(ipaddress.ip_address(address))
    names = Names(example_org=['93.184.215.14', address])
    assert 'leads to an address that is not public' in refusal('http://example.org/', names)


@pytest.mark.parametrize(
    'address',
    [
        '8.8.8.8',
        '93.184.215.14',
        '2606:2800:21f::1',
        '::ffff:8.8.8.8',
        '64:ff9b::808:808',
        '2002:808:808::1',
    ],
)
def test_public_addresses_pass_wrapped_or_not(address):
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    'address',
    ['http://127.0.0.1/', 'http://[::1]/', 'http://[::ffff:127.0.0.1]/', 'http://10.0.0.1/'],
)
def test_an_address_in_standard_spelling_is_not_resolved_but_checked(address):
    names = Names()
    assert 'not public' in refusal(address, names)
    assert names.asked == []


class Together(Names):
    """Counts how often it is asked."""

    def __init__(self, **known):
        super().__init__(**known)
        self.times = []

    def addresses_of_all(self, places, *, within):
        self.times.append((places, within))
        return [self.addresses(host, port) for host, port in places]


def test_several_sources_are_looked_up_together_and_each_is_checked():
    names = Together(a_example=['8.8.8.8'], b_example=['10.0.0.1'])
    urls = ['http://a.example/1', 'http://a.example/2', 'https://8.8.4.4/', 'https://a.example/']
    ImportFilter().verify_all(urls, names, within=7)
    assert names.times == [([('a.example', 80), ('a.example', 443)], 7)]
    with pytest.raises(errors.SourceRefused, match='not public'):
        ImportFilter().verify_all([*urls, 'http://b.example/'], names, within=7)
    with pytest.raises(errors.SourceUnresolved, match=r'c\.example cannot be resolved'):
        ImportFilter().verify_all([*urls, 'http://c.example/'], names, within=7)


def test_what_is_refused_without_a_look_up_is_told_before_one():
    names = Together()
    with pytest.raises(errors.SourceRefused, match='ftp'):
        ImportFilter().verify_all(['http://a.example/', 'ftp://a.example/'], names, within=7)
    assert names.times == []


def test_a_listed_host_may_have_any_address():
    names = Names(mirror_lan=['10.0.0.5'])
    assert passes('http://mirror.lan/a', names, allowed_hosts=['MIRROR.lan.']).addresses == (
        '10.0.0.5',
    )
    assert passes('http://127.0.0.1/', allowed_hosts=['127.0.0.1']).addresses == ('127.0.0.1',)


def inside(*networks):
    return {'allowed_networks': [ipaddress.ip_network(one) for one in networks]}


def test_an_allowed_network_and_the_internet_work_together():
    names = Names(mirror_lan=['10.1.0.5', '8.8.8.8'], example_org=['93.184.215.14'])
    allowed = inside('10.1.0.0/16', 'fd12::/64')
    assert passes('http://mirror.lan/', names, **allowed).addresses == ('10.1.0.5', '8.8.8.8')
    assert passes('http://example.org/', names, **allowed).addresses == ('93.184.215.14',)
    assert passes('http://10.1.2.3/', names, **allowed).host == '10.1.2.3'
    assert passes('http://[fd12::7]/', names, **allowed).host == 'fd12::7'


@pytest.mark.parametrize(
    'address', ['10.2.0.1', '127.0.0.1', 'fd12:0:0:1::1', '64:ff9b::10.1.0.5', '2002:a01:5::']
)
def test_what_is_outside_an_allowed_network_stays_refused_also_beside_a_good_one(address):
    names = Names(mirror_lan=['10.1.0.5', address])
    sentence = refusal('http://mirror.lan/', names, **inside('10.1.0.0/16', 'fd12::/64'))
    assert 'leads to an address that is not public' in sentence


def test_an_allowed_network_allows_no_host_that_the_lists_refuse():
    names = Names(mirror_lan=['10.1.0.5'])
    allowed = inside('10.1.0.0/16')
    refusal('http://mirror.lan/', names, allowed_hosts=['other.lan'], **allowed)
    refusal('http://mirror.lan/', names, disallowed_hosts=['mirror.lan'], **allowed)
    refusal('http://mirror.lan/', names, disallowed_hosts=['10.1.0.5'], **allowed)


def test_addresses_are_compared_in_normal_form():
    assert passes('http://[0:0:0:0:0:0:0:1]/', allowed_hosts=['[::1]']).host == '::1'
    assert passes('http://[::1]/', allowed_hosts=['0::1']).host == '::1'


def test_a_host_that_is_not_listed_is_refused_when_there_is_a_list():
    assert 'its host example.org is not allowed' in refusal(
        'http://example.org/', allowed_hosts=['mirror.lan']
    )


def test_a_listed_wrapping_does_not_allow_another_spelling():
    assert 'is not allowed' in refusal('http://[::ffff:10.0.0.1]/', allowed_hosts=['10.0.0.1'])


def test_a_denied_host_is_refused_in_every_spelling():
    for host in ('example.org', 'EXAMPLE.org.'):
        assert 'is not allowed' in refusal(f'http://{host}/', disallowed_hosts=['example.org'])
    for host in ('8.8.8.8', '[::ffff:8.8.8.8]', '[64:ff9b::808:808]'):
        assert 'is not allowed' in refusal(f'http://{host}/', disallowed_hosts=['8.8.8.8'])


def test_a_name_that_leads_to_a_denied_address_is_refused():
    names = Names(example_org=['8.8.8.8'])
    assert 'leads to an address that is not allowed' in refusal(
        'http://example.org/', names, disallowed_hosts=['8.8.8.8']
    )


def test_a_name_without_addresses_is_refused():
    assert 'its host nowhere.example cannot be resolved' in refusal('http://nowhere.example/')
    assert 'cannot be resolved' in refusal(
        'http://nowhere.example/', allowed_hosts=['nowhere.example']
    )


def test_a_port_is_checked_only_when_it_is_written():
    assert 'its port 8080 is not allowed' in refusal('http://example.org:8080/')
    assert passes('http://example.org:8080/', allowed_ports=[8080]).port == 8080
    assert passes('http://example.org/', allowed_ports=[8080]).port == 80
    assert passes('http://example.org:/', allowed_ports=[8080]).port == 80


def test_of_each_pair_the_allow_list_decides_when_it_is_given():
    both = {'allowed_ports': [8080], 'disallowed_ports': [8080], 'disallowed_hosts': ['a.b']}
    assert passes('http://example.org:8080/', **both).port == 8080
    assert ImportFilter(**both).ignored() == [
        'disallowed_ports has no effect because allowed_ports is given.'
    ]
    assert 'its port 25 is not allowed' in refusal(
        'http://example.org:25/', allowed_ports=[], disallowed_ports=[25]
    )
    assert passes('http://example.org:26/', allowed_ports=[], disallowed_ports=[25]).port == 26
    assert 'its scheme "http" is not allowed' in refusal(
        'http://example.org/', allowed_schemes=[], disallowed_schemes=['HTTP']
    )


def test_user_and_password_are_taken_out_of_the_address():
    target = passes('https://me:s%40cret@example.org/a')
    assert target.login == ('me', 's@cret')
    assert target.host == 'example.org'
    assert 'cret' not in repr(target)
    assert passes('https://me@example.org/a').login == ('me', '')


@pytest.mark.parametrize(
    'userinfo', ['me:a@b', 'me:a:b', 'a@b', 'm%3Ae:x', ':x', 'me:%0d%0aHost', 'me:%00']
)
def test_user_and_password_with_two_meanings_are_refused_and_not_shown(userinfo):
    sentence = refusal(f'https://{userinfo}@example.org/')
    assert userinfo not in sentence
    assert 'https://***@example.org/' in sentence


@pytest.mark.parametrize(
    ('address', 'shown'),
    [
        ('https://example.org/a.img', 'https://example.org/a.img'),
        ('https://me:secret@example.org/a', 'https://***@example.org/a'),
        ('https://example.org/a?X-Sig=abc&b=c#d', 'https://example.org/a?X-Sig=***&b=***#***'),
        ('https://example.org/a?token', 'https://example.org/a?***'),
        ('https://example.org/a?sig=a=b', 'https://example.org/a?sig=***'),
        ('https://me:se/cr@et@example.org/a', 'https://***@example.org/a'),
        ('https://example.org/pkg@v1/a', 'https://example.org/pkg@v1/a'),
        ('https://example.org:80/pkg@v1/a', 'https://example.org:80/pkg@v1/a'),
        ('https://[::1]:80/pkg@v1/a', 'https://[::1]:80/pkg@v1/a'),
        ('me:secret@example.org', '***@example.org'),
        ('//me:secret@example.org', '//***@example.org'),
        ('https://me:secret\uff20example.org/a', 'https://***@example.org/a'),
        ('https://me%3Asecret%40example.org/a', 'https://***@example.org/a'),
        ('https://example.org:secret/a', 'https://example.org:***/a'),
        ('https://me:secr', 'https://me:***'),
        ('https://[::1:secret', 'https://[:***'),
        ('https://example.org/a;sig=secret;b/c;d=e', 'https://example.org/a;sig=***;b/c;d=***'),
        ('https://example.org/pkg%40v1/a', 'https://example.org/pkg%40v1/a'),
        ('no address\n at all', 'no address? at all'),
        ('http://example.org/' + 'a' * 400, 'http://example.org/' + 'a' * 278 + '...'),
    ],
)
def test_secrets_of_an_address_are_masked(address, shown):
    assert mask(address) == shown


def test_a_refusal_does_not_show_secrets():
    sentence = refusal('http://me:secret@example.org:8080/a?sig=secret')
    assert 'secret' not in sentence
    assert 'http://***@example.org:8080/a?sig=***' in sentence
