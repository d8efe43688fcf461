"""The table of workers that glance-manage prints."""

import dataclasses
import datetime

import pytest
from oslo_config import cfg

from glance import conf as options
from glance.cmd import _worker_list
from glance.domain import errors
from glance.domain.remote_steps import Announcement
from glance.engine.worker_directory import WorkerDirectory
from tests import brokers

AT = datetime.datetime(2026, 11, 27, 9, 5, 7, tzinfo=datetime.UTC)
ONE = Announcement(
    *('glance.b.1', 'b', 'area', '1.0', 'here', ['default'], ['fast', 'safe'], 10, 3),
    types={'import': 2},
    folders={'fast': 'f1', 'safe': 's1'},
)


def table(*announced, folders=None):
    directory = WorkerDirectory('1.0', 'here', ['default', 'large'], silence=5)
    heard = [_worker_list._Heard(one, AT) for one in announced]
    directory.look_at_folders = lambda: folders or {}
    directory.note_folders()
    return _worker_list.table(heard, directory)


def test_a_worker_has_a_line_below_the_headings():
    assert table(ONE) == [
        'HOST  NAME        TOPICS   TYPES     STORES     FREE  VERSION  DEPLOYMENT  '
        'SEEN                  USED',
        'b     glance.b.1  default  import:2  fast,safe  3/10  1.0      here        '
        '2026-11-27T09:05:07Z  yes',
    ]


def test_workers_of_a_host_stand_together():
    other, third = (
        dataclasses.replace(ONE, worker=f'glance.{host}.2', host=host) for host in ('b', 'a')
    )
    assert [line.split()[1] for line in table(other, ONE, third)[1:]] == [
        'glance.a.2',
        'glance.b.1',
        'glance.b.2',
    ]


@pytest.mark.parametrize(
    ('changes', 'why'),
    [
        ({'version': '0.9'}, 'no: another version than 1.0'),
        ({'deployment': 'there'}, 'no: another deployment than here'),
        ({'topics': []}, 'no: none of the topics default, large'),
        ({'leaving': True}, 'no: it leaves'),
    ],
)
def test_a_worker_that_is_not_used_is_listed_with_the_reason(changes, why):
    assert table(dataclasses.replace(ONE, **changes))[1].endswith(f'  {why}')


def test_a_worker_with_another_folder_is_listed_with_the_store():
    assert table(ONE, folders={'fast': 'f1', 'safe': 's1'})[1].endswith('  yes')
    assert table(ONE, folders={'fast': 'f2', 'slow': 's3'})[1].endswith(
        '  yes, but it has another folder for store fast'
    )


@pytest.fixture
def conf():
    conf = cfg.ConfigOpts()
    options.register_opts(conf)
    conf([], default_config_files=[])
    return conf


def test_without_workers_there_is_nobody_to_list(conf):
    with pytest.raises(
        errors.ConfigError, match=r'no workers: .* but these are taskflow and parallel'
    ):
        _worker_list.lines(conf, 'here')


def test_a_broker_that_cannot_be_reached_is_named_without_its_password(conf):
    brokers.import_kombu()
    conf.set_override('engine_mode', 'worker-based', 'taskflow_executor')
    conf.set_override('address', 'redis://u:geheim@127.0.0.1:1/0', 'taskflow_workers')
    with pytest.raises(errors.ConfigError) as refused:
        _worker_list.lines(conf, 'here')
    assert 'The message broker redis://***@127.0.0.1:1/0 of [taskflow_workers]' in str(
        refused.value
    )
    assert 'cannot be reached: Error 111' in str(refused.value)
    assert 'geheim' not in str(refused.value)
