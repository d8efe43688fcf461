"""[import_filtering_opts]: what operators may write, and what stops the start."""

import ipaddress

import pytest
from oslo_config import cfg

from glance import bootstrap
from glance.domain import errors
from glance.flows import import_tools


@pytest.fixture
def read(tmp_path):
    """read(line): the section of a file with that one line."""

    def section(line):
        path = tmp_path / 'glance-api.conf'
        path.write_text(f'[import_filtering_opts]\n{line}\n')
        conf = cfg.ConfigOpts()
        bootstrap.register_opts(conf)
        conf(['--config-file', str(path)])
        return conf

    return section


@pytest.mark.parametrize(
    ('written', 'networks'),
    [
        ('10.0.0.0/8', ['10.0.0.0/8']),
        ('[10.1.2.3, fd12::/64]', ['10.1.2.3/32', 'fd12::/64']),
        ('', []),
    ],
)
def test_networks_are_written_with_or_without_brackets(read, written, networks):
    section = read(f'allowed_networks = {written}').import_filtering_opts
    assert section.allowed_networks == [ipaddress.ip_network(one) for one in networks]


@pytest.mark.parametrize(
    ('line', 'fact'),
    [
        ('allowed_networks = 10.0.0.1/8', 'has host bits set'),
        ('allowed_networks = inside', 'does not appear to be an IPv4 or IPv6 network'),
        ('allowed_networks = 10.0.0.0/33', 'does not appear to be'),
        ('proxy = ftp://proxy.example', 'no URL of the form http:'),
        ('total_timeout = -1', 'greater than or equal to 0'),
        ('minimum_rate = fast', 'fast'),
        ('retry_timeout = -1', 'greater than or equal to 0'),
        ('retry_delay = 0', 'greater than or equal to 0.01'),
    ],
)
def test_a_wrong_value_is_told_with_its_reason(read, line, fact):
    conf = read(line)
    with pytest.raises(cfg.ConfigFileValueError, match=fact):
        getattr(conf.import_filtering_opts, line.partition(' ')[0])


@pytest.mark.parametrize('content', ['', 'no certificate'])
def test_a_file_without_certificates_stops_the_start(read, tmp_path, content):
    (tmp_path / 'ca.pem').write_text(content)
    conf = read(f'ca_file = {tmp_path}/ca.pem')
    with pytest.raises(errors.ConfigError, match=r'ca.pem has no certificates in PEM format'):
        import_tools.from_conf(conf)


def test_a_file_of_certificates_that_cannot_be_read_stops_the_start(read, tmp_path):
    conf = read(f'ca_file = {tmp_path}/nowhere.pem')
    with pytest.raises(errors.ConfigError, match=r'ca_file: .*nowhere.pem cannot be read'):
        import_tools.from_conf(conf)


def test_the_limits_of_a_fetch_are_those_of_the_configuration(read):
    conf = read('proxy = http://me:secret@proxy.example:3128')
    limits = import_tools.from_conf(conf).fetch_limits
    assert (limits.total_timeout, limits.minimum_rate) == (21600, 512)
    assert (limits.connect_timeout, limits.read_timeout) == (10, 60)
    assert (limits.retry_timeout, limits.retry_delay, limits.retry_delay_max) == (120, 1, 30)
    assert limits.proxy == 'http://me:secret@proxy.example:3128'
    assert 'secret' not in repr(limits)


def test_what_is_set_on_one_configuration_does_not_show_in_another(read):
    read('').set_override('total_timeout', 1, 'import_filtering_opts')
    assert read('').import_filtering_opts.total_timeout == 21600


@pytest.mark.parametrize(
    ('line', 'limits'),
    [
        ('proxy = http://proxy.example:1', {'proxy': 'http://proxy.example:1'}),
        ('connect_timeout = 7', {'connect_timeout': 7.0}),
        ('read_timeout = 7', {'read_timeout': 7.0}),
        ('total_timeout = 7', {'total_timeout': 7.0}),
        ('minimum_rate = 7', {'minimum_rate': 7}),
        ('retry_timeout = 7', {'retry_timeout': 7.0}),
        ('retry_delay = 7', {'retry_delay': 7.0}),
        ('retry_delay_max = 7', {'retry_delay_max': 7.0}),
    ],
)
def test_a_reload_takes_over_the_options_of_the_fetch(read, tmp_path, line, limits):
    conf = read('read_timeout = 5')
    tools = import_tools.from_conf(conf)
    (tmp_path / 'glance-api.conf').write_text(f'[import_filtering_opts]\n{line}\n')
    conf.mutate_config_files()
    assert {name: getattr(tools.fetch_limits, name) for name in limits} == limits


def test_a_reload_with_unusable_certificates_changes_nothing(read, tmp_path, caplog):
    conf = read('read_timeout = 5')
    tools = import_tools.from_conf(conf)
    (tmp_path / 'glance-api.conf').write_text(
        f'[import_filtering_opts]\nca_file = {tmp_path}/nowhere.pem\nread_timeout = 7\n'
    )
    conf.mutate_config_files()
    assert (tools.fetch_limits.ca_file, tools.fetch_limits.read_timeout) == (None, 5)
    assert 'stay as they were: [import_filtering_opts] ca_file' in caplog.text
