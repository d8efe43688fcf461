"""What worker-based mode asks of the configuration."""

import pytest
import stevedore
from oslo_config import cfg

from glance import conf as options
from glance.domain import errors
from tests import brokers

brokers.import_kombu()

WORKERS = 'taskflow_workers'


@pytest.fixture
def conf():
    conf = cfg.ConfigOpts()
    options.register_opts(conf)
    conf([], default_config_files=[])
    conf.set_override('engine_mode', 'worker-based', 'taskflow_executor')
    return conf


@pytest.fixture
def check(conf):
    executor = stevedore.DriverManager('glance.task_executors', 'taskflow').driver
    return lambda: executor.check(conf)


def test_the_defaults_can_be_used(check):
    check()


@pytest.mark.parametrize('persistence', ['dir', 'memory'])
def test_results_have_to_be_in_the_database(conf, check, persistence):
    conf.set_override('persistence', persistence, 'taskflow_executor')
    with pytest.raises(errors.ConfigError, match=f'persistence = {persistence} does not fit'):
        check()


def test_the_address_has_to_fit_the_transport(conf, check):
    conf.set_override('transport', 'amqp', WORKERS)
    with pytest.raises(
        errors.ConfigError, match=r'\[taskflow_workers\] address begins with "redis:"'
    ):
        check()


def test_an_unknown_transport_is_refused(conf):
    with pytest.raises(ValueError, match='zeromq'):
        conf.set_override('transport', 'zeromq', WORKERS)
