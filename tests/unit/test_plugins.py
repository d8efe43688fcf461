"""Installed plug-ins: the good ones work, and a sentence says what is wrong with the others."""

import importlib
import sys

import pytest
import stevedore.extension
from oslo_config import cfg

from glance import bootstrap, enabled_stores, plugins
from glance.cmd import _start
from glance.domain import errors

GOOD = """
from oslo_config import cfg
from glance.interfaces.flow import Flow, Step
from glance.interfaces.task_type import Plan, TaskType

def nothing(*_args): pass

class Only(Step):
    name = 'only'
    def do(self, lease): pass

class Good(TaskType):
    flow = Flow('{name}', 1, (Only(),), discard=nothing, cleanup=nothing)
    def plan(self, given, caller, service):
        return Plan({{}})
"""

BAD = GOOD.format(name='bad')


@pytest.fixture
def install(tmp_path, monkeypatch):
    """install(group, name, source, attribute='Good'): a distribution with one entry point.

    module  the name of its module; one of its own by default

    Returns the value of the entry point.
    """
    monkeypatch.syspath_prepend(tmp_path)
    made = []

    def distribution(group, name, source, attribute='Good', *, module=None):
        number = len(made)
        module = module or f'plug_in_{tmp_path.name}_{number}'.replace('-', '_')
        made.append(module)
        (tmp_path / f'{module}.py').write_text(source)
        folder = tmp_path / f'dist{number}-1.0.dist-info'
        folder.mkdir()
        (folder / 'METADATA').write_text(
            f'Metadata-Version: 2.1\nName: dist{number}\nVersion: 1.0\n'
        )
        (folder / 'entry_points.txt').write_text(f'[{group}]\n{name} = {module}:{attribute}\n')
        _forget()
        return f'{module}:{attribute}'

    yield distribution
    for module in made:
        sys.modules.pop(module, None)
    _forget()


def _forget():
    """Let all entry points be read again."""
    importlib.invalidate_caches()
    plugins.task_types.cache_clear()
    stevedore.extension.ExtensionManager.ENTRY_POINT_CACHE.clear()
    stevedore.extension._cache._c._internal.clear()


def test_a_task_type_that_is_installed_can_be_used(install):
    install('glance.flows', 'good', GOOD.format(name='good'))
    assert set(plugins.task_types().usable) == {'import', 'good'}
    assert plugins.task_types().broken == {}


@pytest.mark.parametrize(
    ('source', 'fact'),
    [
        ('raise ValueError("it is so")', 'ValueError: it is so'),
        ('assert False, "it is so"', 'AssertionError: it is so'),
        ('raise SystemExit(3)', 'SystemExit: 3'),
        ('import nothing_of_this_name', "No module named 'nothing_of_this_name'"),
        ('Other = 1', "has no attribute 'Good'"),
        ('Good = 7', 'it gives 7, no class of TaskType'),
        ('Good = dict', 'no class of TaskType'),
        (GOOD.format(name='other'), 'its flow is of the type "other"'),
        (BAD + '    input_schema = {"type": "nothing"}\n', 'no JSON schema'),
        (BAD + '    input_schema = {"type": "array"}\n', 'must be one of objects'),
        (BAD + '    input_schema = 7\n', 'schema'),
        (BAD.replace("'bad', 1", "'bad', 0"), 'a whole number from 1'),
        (BAD.replace('(Only(),)', '()'), 'steps of its flow'),
        (BAD.replace('(Only(),)', '(Only(), Only())'), 'the same name'),
        (BAD.replace("'only'", "'only'\n    provides = 'lease'"), 'a name of the service'),
        (BAD + '    flow = None\n', 'which is no Flow'),
        (BAD + '    options = [7]\n', 'cannot be used'),
        (BAD + '    plan = TaskType.plan\n', "Can't instantiate abstract class Good"),
        (BAD + '    def __init__(self): exit(3)\n', 'SystemExit: 3'),
        (BAD + '    input_schema = {"type": "object", "x": object()}\n', 'not JSON serializable'),
        (BAD.replace("'bad', 1", "'bad', '1'"), 'a whole number from 1'),
        (BAD.replace('(Only(),)', '(Only,)'), 'objects of Step or Group'),
        (
            BAD + '    options = [(cfg.OptGroup("task"), [cfg.IntOpt("max_attempts")])]\n',
            'duplicate',
        ),
    ],
)
def test_a_broken_task_type_is_named_and_the_others_work(install, caplog, source, fact):
    value = install('glance.flows', 'bad', source)
    found = plugins.task_types()
    assert set(found.usable) == {'import'}
    [(name, sentence)] = found.broken.items()
    assert name == 'bad'
    assert f'bad = {value}' in sentence
    assert fact in sentence
    assert 'The task type "bad" cannot be used' in caplog.text


def test_two_task_types_of_one_name_are_both_left_out(install):
    values = [install('glance.flows', 'twin', GOOD.format(name='twin')) for _ in range(2)]
    found = plugins.task_types()
    assert set(found.usable) == {'import'}
    assert all(value in found.broken['twin'] for value in values)
    assert 'several plug-ins have this name' in found.broken['twin']


def test_what_two_distributions_list_alike_is_one_plug_in(install):
    for _ in range(2):
        install('glance.flows', 'twin', GOOD.format(name='twin'), module='the_same_module')
    found = plugins.task_types()
    assert (set(found.usable), found.broken) == ({'import', 'twin'}, {})


def test_a_name_that_the_database_has_no_room_for_is_told(install):
    name = 'x' * 31
    install('glance.flows', name, GOOD.format(name=name))
    assert 'more than 30 characters' in plugins.task_types().broken[name]


def test_two_task_types_with_one_option_are_not_both_used(install):
    for name, default in (('one', 1), ('two', 2)):
        install(
            'glance.flows',
            name,
            GOOD.format(name=name)
            + f'    options = [(cfg.OptGroup("o"), [cfg.IntOpt("p", default={default})])]\n',
        )
    found = plugins.task_types()
    [broken] = found.broken
    assert set(found.usable) == {'import', 'one', 'two'} - {broken}
    assert 'duplicate option: p' in found.broken[broken]


@pytest.mark.parametrize(
    ('source', 'fact'),
    [
        ('raise ValueError("it is so")', 'ValueError: it is so'),
        ('assert False, "it is so"', 'AssertionError: it is so'),
        ('class Good: pass', 'no class of'),
        ('Good = 7', 'it gives 7'),
    ],
)
@pytest.mark.parametrize(
    ('group', 'load', 'option'),
    [
        ('glance.task_executors', plugins.executor_class, '[task] task_executor'),
        ('glance.stores', plugins.store_class, '[DEFAULT] enabled_backends'),
    ],
)
def test_a_broken_executor_or_store_is_named_if_it_is_chosen(
    install, group, load, option, source, fact
):
    value = install(group, 'bad', source)
    with pytest.raises(errors.ConfigError) as raised:
        load('bad')
    assert option in str(raised.value)
    assert f'bad = {value}' in str(raised.value)
    assert fact in str(raised.value)
    assert load({'glance.stores': 'file'}.get(group, 'eventlet'))  # the others work


@pytest.mark.parametrize(
    ('group', 'load'),
    [('glance.task_executors', plugins.executor_class), ('glance.stores', plugins.store_class)],
)
def test_two_executors_or_stores_of_one_name_are_refused_if_it_is_chosen(install, group, load):
    values = [install(group, 'twin', 'class Good: pass') for _ in range(2)]
    with pytest.raises(errors.ConfigError, match='several plug-ins have this name') as raised:
        load('twin')
    assert all(f'twin = {value}' in str(raised.value) for value in values)


STORE = """
from glance.interfaces.store import ImageStore

class Good(ImageStore):
    def location_of(self, image_id, number): return f'good://{image_id}.{number}'
    def add(self, url, path, *, on_progress=None): pass
    def open(self, url): pass
    def delete(self, url): pass
"""

EXECUTOR = """
from glance.engine.conducted_executor import ConductedExecutor

class Good(ConductedExecutor):
    def slots(self, conf): return 1
    def run_flow(self, flow, claim): pass
"""


@pytest.fixture
def read(tmp_path):
    """read(text): check a configuration file with this text, and open its stores."""

    def start(text):
        path = tmp_path / 'glance-api.conf'
        path.write_text(text)
        conf = cfg.ConfigOpts()
        bootstrap.register_opts(conf)
        conf(['--config-file', str(path)])
        _start.check(conf, executor=True)
        bootstrap.check_executor(conf)
        return enabled_stores.open_stores(enabled_stores.read(conf, tmp_path / 'state'))

    return start


WITH_STORE = '[DEFAULT]\nenabled_backends = s:good\n[glance_store]\ndefault_backend = s\n'


def test_a_store_that_is_installed_can_be_used(install, read):
    install('glance.stores', 'good', STORE)
    stores = read(WITH_STORE)
    assert stores['s'].location_of('x', 1) == 'good://x.1'


@pytest.mark.parametrize(
    ('more', 'fact'),
    [
        (
            '    add = ImageStore.add\n    open = ImageStore.open\n',
            'its class Good lacks add, open',
        ),
        ('    options = 7\n', 'TypeError: Value after * must be an iterable, not int'),
        ('    options = [7]\n', 'AttributeError'),
        ('    def local_folder(name, section): return 7\n', 'TypeError'),
        ('    def local_folder(name, section): raise KeyError("it")\n', "KeyError: 'it'"),
        ('    def from_conf(folder, section): raise KeyError("it")\n', "KeyError: 'it'"),
        ('    def from_conf(folder, section): exit(3)\n', 'SystemExit: 3'),
        ('    def from_conf(folder, section): pass\n', 'from_conf() returned NoneType, not an Im'),
    ],
)
def test_a_store_that_fails_at_the_start_is_named(install, read, more, fact):
    value = install('glance.stores', 'good', STORE + more)
    with pytest.raises(errors.ConfigError) as raised:
        read(WITH_STORE)
    assert '[DEFAULT] enabled_backends: the ' in str(raised.value)
    assert value in str(raised.value)
    assert fact in str(raised.value)


def test_a_store_does_not_get_the_section_of_another_plug_in(install, read):
    options = '    options = [(cfg.OptGroup("s"), [cfg.IntOpt("p")])]\n'
    install('glance.flows', 'good', GOOD.format(name='good') + options)
    with pytest.raises(errors.ConfigError, match='a store cannot have the name "s"'):
        read(WITH_STORE.replace('s:good', 's:file'))


def test_an_executor_that_is_installed_can_be_used(install, read):
    install('glance.task_executors', 'good', EXECUTOR)
    assert read('[task]\ntask_executor = good\n').default == 'filesystem'


@pytest.mark.parametrize(
    ('more', 'fact'),
    [
        ('    slots = ConductedExecutor.slots\n', 'its class Good lacks slots'),
        ('    options = 7\n', 'not iterable'),
        ('    options = [7]\n', 'cannot unpack'),
        ('    options = [(7, 8, 9)]\n', 'too many values'),
        ('    def check(conf, processes): raise KeyError("it")\n', "KeyError: 'it'"),
        ('    def check(conf, processes): exit(3)\n', 'SystemExit: 3'),
        ('    def logbook_kind(conf): raise KeyError("it")\n', "KeyError: 'it'"),
        ('    def describe(conf): raise KeyError("it")\n', "KeyError: 'it'"),
    ],
)
def test_an_executor_that_fails_at_the_start_is_named(install, read, more, fact):
    install('glance.task_executors', 'good', EXECUTOR + more)
    with pytest.raises(errors.ConfigError) as raised:
        read('[task]\ntask_executor = good\n')
    assert '[task] task_executor = good' in str(raised.value)
    assert fact in str(raised.value)


def test_an_unknown_executor_or_store_is_told_the_known_ones():
    with pytest.raises(errors.ConfigError, match=r'task_executor = x is not known; .*eventlet'):
        plugins.executor_class('x')
    with pytest.raises(errors.ConfigError, match=r'kind "x" is not known; .*file, filesystem'):
        plugins.store_class('x')
