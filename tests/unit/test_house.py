"""The table of rooms in doc/source/architecture.rst is what the imports say."""

import ast
import pathlib
import re
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
HOUSE = ROOT / 'glance'
PAGE = ROOT / 'doc' / 'source' / 'architecture.rst'

# What the words of the last column mean in import statements. Where the page says
# "in ``name``" after a word, it holds for that module of the room only.
LIBRARIES = {
    'WebOb': ('webob',),
    'eventlet': ('eventlet', 'greenlet'),
    "futurist's pools": ('futurist',),
    'HTTP clients': ('urllib3', 'http.client', 'urllib.request', 'requests', 'httpx'),
    'digests': ('hashlib',),
    'fingerprints of requests': ('hashlib',),
    'formats': ('oslo_utils.imageutils',),
    'glance_store': ('glance_store',),
    'kombu': ('kombu', 'redis', 'amqp'),
    'SQLAlchemy': ('sqlalchemy', 'oslo_db', 'sqlite3', 'psycopg2', 'pymysql'),
    'alembic': ('alembic',),
    "TaskFlow's persistence base": ('taskflow.persistence.base', 'taskflow.states'),
    "TaskFlow's tables": (
        'taskflow.persistence.backends.sqlalchemy.tables',
        'taskflow.persistence.models',
        'taskflow.states',
    ),
    'TaskFlow atoms and patterns': ('taskflow',),
    'TaskFlow engines': ('taskflow',),
    'the WSGI server': ('eventlet',),
    'how the hub is woken': ('eventlet',),
    'signals': ('oslo_service',),
    'reloading of options': ('oslo_config',),
    'oslo.config': ('oslo_config',),
}
GUARDED = {library for names in LIBRARIES.values() for library in names} | {'oslo_service'}

STANDARD_LIBRARY_ONLY = {'domain'}


def read_table(text):
    """Room name to (rooms it may import or None for all, what it alone knows)."""
    lines = text.splitlines()
    top, head, bottom = (
        number for number, line in enumerate(lines) if re.fullmatch('=+( +=+)+', line)
    )
    columns = [slice(*match.span()) for match in re.finditer('=+', lines[top])]
    rows = []
    for line in lines[head + 1 : bottom]:
        cells = [line[column].strip() for column in columns]
        if cells[0]:
            rows.append(cells)
        else:  # goes on with the row above
            rows[-1] = [
                f'{above} {cell}'.strip() for above, cell in zip(rows[-1], cells, strict=True)
            ]
    table = {}
    for names, ours, alone in rows:
        for name in re.findall('``(\\w+)``', names):
            rooms = None if ours == 'everything' else set(re.findall('\\w+', ours)) - {'nothing'}
            table[name] = rooms, alone
    return table


TABLE = read_table(PAGE.read_text())


def imports(source, module, is_package):
    """(line, full name) of all that a module imports, wherever in it the statement stands."""
    package = module if is_package else module.rpartition('.')[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ''
            if node.level:
                parts = package.split('.')[: len(package.split('.')) - node.level + 1]
                base = '.'.join([*parts, base] if base else parts)
            for alias in node.names:
                yield node.lineno, f'{base}.{alias.name}'


def below(name, library):
    return name == library or name.startswith(f'{library}.')


def wrongs(source, module, is_package=False):
    """A sentence for each import of a module that the table does not cover."""
    parts = module.split('.')
    room = parts[1]
    rooms, alone = TABLE[room]
    if rooms is None:
        return []
    found = []
    for line, name in imports(source, module, is_package):
        top, *rest = name.split('.')
        if top == 'glance':
            if rest and rest[0] in TABLE and rest[0] not in rooms | {room}:
                found.append(f'{module}, line {line}: "{room}" may not import "{rest[0]}"')
        elif room in STANDARD_LIBRARY_ONLY and top not in sys.stdlib_module_names:
            found.append(
                f'{module}, line {line}: "{room}" may not import {name}, only the standard library'
            )
        elif alone == 'nothing outside' and top in sys.stdlib_module_names:
            pass  # fakes may be made of what the real ones know
        elif any(below(name, library) for library in GUARDED) and not any(
            below(name, library) for library in known(alone, parts[2:3])
        ):
            found.append(f'{module}, line {line}: "{room}" may not import {name}')
    return found


def known(alone, module):
    """The libraries that a last column gives to one module ([] for the room's own file)."""
    for word, libraries in LIBRARIES.items():
        match = re.search(re.escape(word) + '(?:,? \\(?in ``(\\w+)``)?', alone)
        if match and match.group(1) in (None, *module):
            yield from libraries


def modules(room):
    """(path, name, is a package) of all modules of a room."""
    for path in [*HOUSE.glob(f'{room}.py'), *sorted((HOUSE / room).rglob('*.py'))]:
        is_package = path.name == '__init__.py'
        name = path.relative_to(ROOT).with_suffix('')
        yield path, '.'.join((name.parent if is_package else name).parts), is_package


@pytest.mark.parametrize('room', TABLE)
def test_a_room_imports_only_what_the_table_allows(room):
    found = [
        wrong
        for path, name, is_package in modules(room)
        for wrong in wrongs(path.read_text(), name, is_package)
    ]
    assert not found, '\n'.join(found)


def test_each_module_belongs_to_a_room():
    rooms = {
        path.stem for path in HOUSE.iterdir() if path.suffix == '.py' or any(path.rglob('*.py'))
    }
    assert rooms - {'__init__'} == set(TABLE)


def test_each_known_library_stands_in_the_table():
    page = ' '.join(alone for _, alone in TABLE.values())
    assert [word for word in LIBRARIES if page.count(word) != 1] == []


@pytest.mark.parametrize(
    ('module', 'source', 'wrong'),
    [
        ('glance.domain.task', 'import webob', 'only the standard library'),
        ('glance.domain.task', 'from glance import db', '"domain" may not import "db"'),
        ('glance.domain.task', 'def f():\n    import yaml', 'line 2'),
        ('glance.services.tasks', 'from glance.db.models import Task', 'may not import "db"'),
        ('glance.services.tasks', 'from ..db import models', 'may not import "db"'),
        ('glance.async.eventlet_executor', 'from ..api import app', 'may not import "api"'),
        ('glance.async.eventlet_executor', 'import eventlet', '"async" may not import eventlet'),
        (
            'glance.engine.taskflow_engine',
            'from oslo_service import service',
            'oslo_service.service',
        ),
        ('glance.flows.steps', 'from taskflow import task', 'taskflow.task'),
        ('glance.db.models', 'from taskflow.persistence import base', 'taskflow.persistence'),
        ('glance.db.logbook', 'from taskflow import engines', 'taskflow.engines'),
        ('glance.image_data.formats', 'import glance_store', 'glance_store'),
        ('glance.testing.images', 'import urllib3', 'urllib3'),
        ('glance.api.app', 'from oslo_utils.imageutils import format_inspector', 'imageutils'),
    ],
)
def test_a_wrong_import_is_found(module, source, wrong):
    found = wrongs(source, module)
    assert len(found) == 1
    assert wrong in found[0]
    assert module in found[0]


@pytest.mark.parametrize(
    ('module', 'source'),
    [
        ('glance.domain.task', 'import enum'),
        ('glance.services.tasks', 'from glance.domain import errors'),
        ('glance.async.eventlet_executor', 'from . import _common'),
        ('glance.async.eventlet_executor', 'from glance.engine import conductor'),
        ('glance.flows.atoms', 'from taskflow.patterns import linear_flow'),
        ('glance.db.logbook', 'from taskflow.persistence import models'),
        ('glance.api.app', 'from oslo_log import log'),
        ('glance.testing.source_server', 'import http.client'),
        ('glance.cmd.api', 'from oslo_service import service'),
        ('glance.bootstrap', 'from glance.db import sessions'),
    ],
)
def test_a_right_import_passes(module, source):
    assert wrongs(source, module) == []


def test_relative_imports_are_resolved_from_a_package_too():
    found = wrongs('from .. import db', 'glance.services', is_package=True)
    assert found == ['glance.services, line 1: "services" may not import "db"']
