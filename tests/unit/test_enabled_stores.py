"""Which stores a configuration enables, and what is refused in which words."""

import pytest
from oslo_config import cfg

from glance import bootstrap
from glance.cmd import _start
from glance.domain import errors
from glance.domain.image import Location
from glance.enabled_stores import open_stores
from glance.folders import Folders
from glance.interfaces.store import Stores
from glance.testing.fakes.store import FakeStore

ONE = '[DEFAULT]\nstate_path = {state}\n'

TWO = """
[DEFAULT]
state_path = {state}
enabled_backends = fast:file, slow:filesystem
[glance_store]
default_backend = slow
[fast]
filesystem_store_datadir = {state}/fast
filesystem_store_file_perm = 416
weight = 7
[slow]
filesystem_store_datadir = {state}/slow
store_description = for the old ones
"""

IMAGE = '3f0ac3ad-6b9c-4f3e-9c0c-0a54f0b0f6a1'


@pytest.fixture
def folders(tmp_path):
    """folders(text): the folders of a configuration file with this text.

    What the log would warn of is in folders.warnings.
    """

    def read(text):
        path = tmp_path / 'glance-api.conf'
        path.write_text(text.format(state=tmp_path / 'state'))
        conf = cfg.ConfigOpts()
        bootstrap.register_opts(conf)
        conf(['--config-file', str(path)])
        read.warnings = _start.check(conf, executor=False)
        return Folders(conf)

    return read


@pytest.mark.parametrize(
    'default',
    ['', '[glance_store]\ndefault_backend = \n', '[glance_store]\ndefault_backend = filesystem\n'],
)
def test_without_stores_of_its_own_a_service_has_one(folders, tmp_path, default):
    enabled = folders(ONE + default).stores
    assert enabled.default == 'filesystem'
    assert [str(one.folder) for one in enabled.stores] == [str(tmp_path / 'state' / 'images')]
    assert open_stores(enabled)['filesystem'].location_of('x', 1).endswith('/images/x.1')


def test_each_store_has_its_section(folders, tmp_path):
    found = folders(TWO)
    stores = open_stores(found.stores)
    assert (list(stores), stores.default) == (['fast', 'slow'], 'slow')
    for name in stores:
        url = stores[name].location_of('x', 1)
        assert url == f'file://{tmp_path}/state/{name}/x.1'
    assert set(found.kept()) == {
        'the folder of the store "fast"',
        'the folder of the store "slow"',
        'work_dir',
    }
    assert folders.warnings == []


def test_the_options_of_a_section_reach_its_store(folders, tmp_path):
    stores = open_stores(folders(TWO).stores)
    staged = tmp_path / 'staged'
    staged.write_bytes(b'bits')
    url = stores['fast'].location_of(IMAGE, 1)
    stores['fast'].add(url, str(staged))
    assert (tmp_path / 'state' / 'fast' / f'{IMAGE}.1').stat().st_mode & 0o777 == 0o640
    at = [Location(IMAGE, name, url, 'active') for name in ('slow', 'fast')]
    assert [one.store for one in stores.by_weight(at)] == ['fast', 'slow']


def test_a_store_that_has_the_name_of_the_only_one_has_its_section_all_the_same(folders):
    text = TWO.replace('fast:', 'filesystem:').replace('[fast]', '[filesystem]')
    stores = open_stores(folders(text).stores)
    at = [Location(IMAGE, name, 'file:///x', 'active') for name in ('slow', 'filesystem')]
    assert [one.store for one in stores.by_weight(at)] == ['filesystem', 'slow']


def test_the_name_of_a_section_is_found_in_any_case(folders):
    found = folders(TWO.replace('[fast]', '[FAST]')).stores
    assert [one.folder.name for one in found.stores] == ['fast', 'slow']
    assert folders.warnings == []


@pytest.mark.parametrize(
    ('old', 'new', 'sentence'),
    [
        ('slow:filesystem', 'slow:swift', '"swift" is not known; there are file, filesystem'),
        ('default_backend = slow', '', 'needs [glance_store] default_backend'),
        ('default_backend = slow', 'default_backend = old', 'default_backend = old is not in'),
        ('{state}/slow', '{state}/fast', 'are the same folder'),
        ('{state}/slow', '{state}/staging', 'are the same folder'),
        ('{state}/slow', '', '[slow] filesystem_store_datadir is missing'),
        ('slow:filesystem', 'slow', 'enabled_backends'),
        ('slow:filesystem', 'fast:file', 'enabled_backends'),
        ('slow:filesystem', 'task:file', 'a store cannot have the name "task"'),
        ('slow:filesystem', 'os_glance_x:file', 'cannot have the name "os_glance_x"'),
        ('slow:filesystem', 'database:file', 'cannot have the name "database"'),
        ('slow:filesystem', 'Task:file', 'a store cannot have the name "Task"'),
        ('slow:filesystem', 'oslo_x:file', 'cannot have the name "oslo_x"'),
        ('slow:filesystem', 'workers:file', 'cannot have the name "workers"'),
        ('slow:filesystem', 'config_file:file', 'cannot have the name "config_file"'),
        ('slow:filesystem', 'Fast:file', 'the names "fast" and "Fast" differ only in case'),
        ('slow:filesystem', f'{"x" * 256}:file', 'has more than 255 characters'),
        ('slow:filesystem', 'slow:', 'the kind "" is not known'),
        ('slow:filesystem', ':file', 'enabled_backends'),
        (
            'enabled_backends = fast:file, slow:filesystem',
            '',
            '= slow is not in [DEFAULT] enabled',
        ),
        ('= 416', '= much', '[fast] filesystem_store_file_perm = much'),
        ('weight = 7', 'weight = heavy', '[fast] weight = heavy'),
        ('{state}/slow', '/proc/slow', 'the folder of the store "slow": /proc/slow cannot be'),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_sentence(folders, old, new, sentence):
    with pytest.raises(errors.ConfigError) as raised:
        folders(TWO.replace(old, new))
    assert sentence in str(raised.value)


def test_a_folder_is_the_same_by_whatever_path(folders, tmp_path):
    (tmp_path / 'state' / 'fast').mkdir(parents=True)
    (tmp_path / 'link').symlink_to(tmp_path / 'state' / 'fast')
    with pytest.raises(errors.ConfigError, match='"fast" are the same folder'):
        folders(TWO.replace('{state}/slow', str(tmp_path / 'link')))


def test_a_section_without_a_store_is_named(folders):
    folders(
        TWO.replace('slow:filesystem', 'other:file').replace(
            'default_backend = slow', 'default_backend = fast'
        )
        + '[other]\nfilesystem_store_datadir = {state}/other\n'
    )
    [warning] = folders.warnings
    assert '[slow] in ' in warning
    assert 'is the section of no store: "slow" is not in [DEFAULT] enabled_backends' in warning


def test_a_wrong_option_of_a_store_is_named(folders):
    folders(TWO + 'filesystem_store_data_dir = /tmp\n')
    [warning] = folders.warnings
    assert '[slow] filesystem_store_data_dir = /tmp' in warning
    assert 'did you mean filesystem_store_datadir?' in warning


def test_a_location_is_found_by_name_then_by_its_url(tmp_path):
    class Owner(FakeStore):
        def owns(self, url):
            return url.startswith('memory://')

    stores = Stores({'a': FakeStore(), 'b': Owner()}, default='a', weights={'b': 1})
    at = [Location('x', name, 'memory://x.1', 'active') for name in ('a', 'b', 'c')]
    assert [stores.of(one) for one in at] == [stores['a'], stores['b'], stores['b']]
    with pytest.raises(errors.Unavailable, match='The store "c" is not enabled'):
        stores.of(Location('x', 'c', 'file:///x', 'active'))
    assert [one.store for one in stores.by_weight(at)] == ['b', 'a', 'c']
