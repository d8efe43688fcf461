"""What a first user trips over."""

import contextlib
import os
import socket
import sqlite3
import stat
import subprocess

import pytest

from .conftest import INT, TERM, free_port

pytestmark = pytest.mark.once


def refused(api):
    """The one line with which a start is refused."""
    assert api.exit_status() == 1
    said = [line for line in api.log.splitlines() if line.startswith('glance-api: ')]
    assert len(said) == 1, api.log
    assert 'Traceback' not in api.log
    return said[0]


def test_a_start_without_any_configuration_works(tmp_path, start_program):
    api = start_program().await_ready()
    assert api.call('GET', '/v2/tasks') == (
        200,
        {'tasks': [], 'first': '/v2/tasks', 'schema': '/v2/schemas/tasks'},
    )
    state = tmp_path / 'state'
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert sorted(path.name for path in state.iterdir() if 'sqlite-' not in path.name) == [
        'glance.sqlite',
        'images',
        'run',
        'staging',
    ]
    for fact in ('listens on http://127.0.0.1:', str(state), 'taskflow'):
        assert fact in api.log


def test_the_state_folder_follows_xdg(tmp_path, start):
    config = tmp_path / 'empty.conf'
    config.write_text('[DEFAULT]\nbind_port = 0\n')
    from .conftest import Api

    api = Api(config, tmp_path / 'xdg-log', XDG_STATE_HOME=str(tmp_path / 'xdg'))
    try:
        api.await_ready()
        assert (tmp_path / 'xdg' / 'glance' / 'glance.sqlite').exists()
    finally:
        api.end()


def test_a_port_in_use_is_one_sentence_before_the_database_is_touched(start, state):
    taken = start().await_ready()
    database = state / 'glance.sqlite'
    before = database.stat().st_mtime_ns
    second = start(DEFAULT={'bind_port': taken.port, 'state_path': state.parent / 'other'})
    assert f'127.0.0.1:{taken.port} cannot be listened on' in refused(second)
    assert not (state.parent / 'other').exists()
    assert database.stat().st_mtime_ns == before


def test_a_state_folder_that_cannot_be_written_is_named(start, tmp_path):
    (tmp_path / 'file').write_text('not a folder')
    line = refused(start(DEFAULT={'state_path': tmp_path / 'file' / 'state'}))
    assert str(tmp_path / 'file' / 'state') in line
    assert 'cannot be written to' in line


def test_a_full_disk_is_named(start, tmp_path):
    full = tmp_path / 'full'
    full.mkdir()
    mounted = subprocess.run(
        ['mount', '-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', str(full)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip('A small file system cannot be mounted here (needs root).')
    try:
        with open(full / 'filler', 'wb', buffering=0) as filler, contextlib.suppress(OSError):
            while True:
                filler.write(b'\0' * 4096)
        line = refused(start(DEFAULT={'state_path': full / 'state'}))
        assert 'No space left' in line
        assert str(full / 'state') in line
    finally:
        subprocess.run(['umount', str(full)], check=True)


def test_a_second_instance_on_the_same_state_folder_works(start, web):
    web.pages['/a'] = b'a'
    first = start().await_ready()
    second = start().await_ready()
    assert first.port != second.port
    task = second.import_(f'{web.url}/a')
    assert first.ended(task)['status'] == 'success'


def test_ctrl_c_stops_gracefully(start_program, state):
    api = start_program().await_ready()
    api.signal(INT)
    assert api.exit_status() == 0
    assert 'Stopped' in api.log
    assert [name for name in os.listdir(state / 'run') if name.endswith('.owner')] == []


def test_ctrl_c_twice_stops_at_once(start_program, web):
    web.pages['/slow'] = web.silence()
    api = start_program(DEFAULT={'graceful_shutdown_timeout': 600}).await_ready()
    api.import_(f'{web.url}/slow')
    api.await_log('begun')
    api.signal(INT)
    api.await_log('Stopping')
    api.signal(INT)
    assert api.exit_status() == -INT


def test_sigterm_stops_an_idle_service_at_once(start_program):
    api = start_program(DEFAULT={'graceful_shutdown_timeout': 600}).await_ready()
    api.signal(TERM)
    assert api.exit_status() == 0


def test_an_unknown_executor_lists_the_known_ones(start):
    line = refused(start(task={'task_executor': 'celery'}))
    assert 'celery' in line
    assert 'eventlet, taskflow' in line


@pytest.mark.parametrize(
    ('section', 'option', 'value', 'reason'),
    [
        ('taskflow_executor', 'max_workers', 'ten', 'ten'),
        ('taskflow_executor', 'max_workers', '0', '1'),
        ('taskflow_executor', 'engine_mode', 'paralel', 'serial, parallel, worker-based'),
        ('import_filtering_opts', 'allowed_ports', '[80,http]', 'http'),
    ],
)
def test_a_wrong_value_is_named_with_option_and_file(
    start, tmp_path, section, option, value, reason
):
    line = refused(start(**{section: {option: value}}))
    for fact in (f'[{section}] {option} = {value}', str(tmp_path / 'glance-api.conf'), reason):
        assert fact in line


def test_a_misspelt_option_is_warned_of(start, tmp_path):
    api = start(taskflow_executor={'max_worker': 3}).await_ready()
    assert (
        f'[taskflow_executor] max_worker = 3 in {tmp_path / "glance-api.conf"} is not an '
        'option; did you mean max_workers?'
    ) in api.log


def test_a_missing_configuration_file_is_named(tmp_path):
    from .conftest import Api

    api = Api(tmp_path / 'nowhere.conf', tmp_path / 'log')
    try:
        assert 'nowhere.conf does not exist' in refused(api)
    finally:
        api.end()


def test_a_database_of_the_real_glance_is_refused_untouched(start, state):
    state.mkdir(mode=0o700)
    theirs = sqlite3.connect(state / 'glance.sqlite')
    theirs.executescript(
        'CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL);'
        "INSERT INTO alembic_version VALUES ('2023_1_contract01');"
        'CREATE TABLE images (id VARCHAR(36) PRIMARY KEY);'
        'CREATE TABLE tasks (id VARCHAR(36) PRIMARY KEY);'
    )
    theirs.commit()
    before = sorted(theirs.iterdump())
    assert 'another service' in refused(start())
    assert sorted(theirs.iterdump()) == before
    theirs.close()


@pytest.mark.parametrize('host', ['0.0.0.0', '::', '192.0.2.1'])
def test_noauth_stays_on_the_loopback(start, host):
    line = refused(start(DEFAULT={'bind_host': host}))
    assert 'not a loopback address' in line
    assert 'noauth_allow_remote' in line


def test_noauth_can_be_told_to_listen_everywhere(start):
    api = start(DEFAULT={'bind_host': '0.0.0.0', 'noauth_allow_remote': True})
    api.await_ready()
    assert api.call('GET', '/v2/tasks')[0] == 200


def test_it_listens_on_ipv6(start):
    port = free_port()
    api = start(DEFAULT={'bind_host': '::1', 'bind_port': port})
    api.await_log(rf'listens on http://\[::1\]:{port}')


def test_a_body_that_never_ends_is_refused_and_not_read_without_end(start):
    """A client on the loopback sends until it is cut off; it must be."""
    api = start().await_ready()
    client = socket.create_connection(('127.0.0.1', api.port))
    client.settimeout(10)
    client.sendall(
        b'POST /v2/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\n'
        b'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n'
    )
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < 64 * 2**20:
            client.sendall(b'10000\r\n' + b' ' * 65536 + b'\r\n')
            sent += 65536
    client.close()
    assert sent < 64 * 2**20
    assert api.call('GET', '/v2/tasks')[0] == 200
