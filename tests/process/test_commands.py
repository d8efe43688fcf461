"""What commands say of files, arguments and addresses that they cannot use."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

from glance.cmd import _files
from glance.db.migrations import HEAD
from glance.domain import errors

pytestmark = pytest.mark.once

ROOT = pathlib.Path(__file__).parents[2]
COMMANDS = ['api', 'conductor', 'manage']


@pytest.fixture
def run(tmp_path):
    """run(command, *arguments): what a command said, of which the state is in tmp_path."""

    def run(command, *arguments, **environment):
        return subprocess.run(
            [sys.executable, '-P', '-m', f'glance.cmd.{command}', *map(str, arguments)],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
            env=os.environ
            | {'XDG_STATE_HOME': str(tmp_path / 'state'), 'HOME': str(tmp_path)}
            | environment,
        )

    return run


def refused(ended, command):
    """The one line with which a command ended."""
    assert ended.returncode == 1, ended.stderr
    [line] = ended.stderr.splitlines()
    assert line.startswith(f'glance-{command}: ')
    return line


def of(command):
    return ['db', 'version'] if command == 'manage' else []


@pytest.mark.parametrize(
    ('command', 'content', 'fact'),
    [
        ('api', '# käse'.encode('latin-1'), 'is not text in UTF-8: see line 1'),
        ('conductor', '[DEFAULT]\n'.encode('utf-16'), 'begins with a byte order mark'),
        ('manage', b'[DEFAULT]\ndebug = maybe\n', '[DEFAULT] debug = maybe in '),
        ('manage', b'[DEFAULT]\nlog_dir = $nothing\n', '[DEFAULT] log_dir in '),
        ('manage', b'[DEFAULT]\nlog_file = /no/file\n', '[DEFAULT] log_file in '),
        ('manage', b'[DEFAULT]\ndefault_log_levels = a=B\n', '[DEFAULT] default_log_levels in '),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(run, tmp_path, command, content, fact):
    path = tmp_path / 'x.conf'
    path.write_bytes(content)
    line = refused(run(command, '--config-file', path, *of(command)), command)
    assert fact in line
    assert str(path) in line


def test_a_folder_of_files_must_be_one(tmp_path):
    path = tmp_path / 'x.conf'
    path.touch()
    with pytest.raises(errors.ConfigError, match=f'{path} cannot be read: Not a directory'):
        _files.read_all('glance-api', ['--config-dir', str(path)], _files.Defaults([], []))


@pytest.mark.parametrize('command', COMMANDS)
def test_a_parameter_that_no_driver_knows_is_named(run, tmp_path, command):
    pytest.importorskip('pymysql')
    path = tmp_path / 'x.conf'
    path.write_text(
        '[DEFAULT]\nuse_stderr = false\nbind_port = 0\n'
        '[database]\nconnection = mysql://u@127.0.0.1:1/d?colour=red\n'
    )
    line = refused(run(command, '--config-file', path, *of(command)), command)
    assert '[database] connection has a parameter that its driver does not know: colour.' in line


@pytest.mark.parametrize(
    ('environment', 'fact'),
    [
        ({'OS_GLANCE_CONFIG_DIR': '/no/folder'}, 'OS_GLANCE_CONFIG_DIR names /no/folder, which'),
        ({'OS_GLANCE_CONFIG_DIR': str(ROOT / 'doc')}, 'which has no glance-api.conf'),
        ({'OS_GLANCE_CONFIG_FILES': '/no/file'}, 'OS_GLANCE_CONFIG_FILES names /no/file, which'),
        (
            {'OS_GLANCE_CONFIG_DIR': str(ROOT / 'etc'), 'OS_GLANCE_CONFIG_FILES': 'a.conf;b'},
            f'names {ROOT}/etc/a.conf, which is no file',
        ),
    ],
)
def test_an_environment_that_names_nothing_is_one_sentence(monkeypatch, environment, fact):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(errors.ConfigError, match=re.escape(fact)):
        _files.defaults()


def test_the_environment_names_files(run, tmp_path):
    (tmp_path / 'mine.conf').write_text(f'[DEFAULT]\nstate_path = {tmp_path}/elsewhere\n')
    ended = run(
        *('manage', 'db', 'sync'),
        OS_GLANCE_CONFIG_DIR=str(tmp_path),
        OS_GLANCE_CONFIG_FILES='mine.conf',
    )
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / 'elsewhere' / 'glance.sqlite').exists()


@pytest.mark.parametrize('arguments', [['db', 'sync', HEAD], ['db_sync', 'head']])
def test_options_may_follow_the_command(run, tmp_path, arguments):
    path = tmp_path / 'x.conf'
    path.write_text(f'[DEFAULT]\nstate_path = {tmp_path}/elsewhere\n')
    ended = run('manage', *arguments, '--config-file', path)
    assert ended.stdout == f'The database is at version {HEAD} (it was at none).\n', ended.stderr
    assert (tmp_path / 'elsewhere' / 'glance.sqlite').exists()


def test_an_older_version_of_the_tables_is_refused(run):
    line = refused(run('manage', 'db_sync', '0003'), 'manage')
    assert f'the newest version only, which is {HEAD}, and not to 0003' in line


def test_metadata_definitions_are_not_loaded_and_it_is_said(run):
    ended = run('manage', 'db_load_metadefs', '/etc/x', 'True')
    assert ended.returncode == 0
    assert 'no metadata definitions; nothing was loaded' in ended.stdout


@pytest.mark.parametrize(
    'arguments', [['task', 'list', '--limit', '9' * 30], ['task', 'show', '\udcff']]
)
def test_wrong_arguments_are_no_failed_start(run, arguments):
    ended = run('manage', *arguments)
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith('glance-manage')
    assert 'failed' not in ended.stderr


def test_a_child_does_not_run_tasks_of_another_database(run, tmp_path):
    """Its parent is still on the one that the configuration named when it was started."""
    path = tmp_path / 'x.conf'
    path.write_text(f'[DEFAULT]\nstate_path = {tmp_path}/elsewhere\n')
    command = [
        *(sys.executable, '-P', '-m', 'glance.cmd.suspects', '--config-file', str(path)),
        *('--deaths', '2', '--size', '1', '--holder', 'host/1/x', '--descriptor', '9'),
        *('--deployment', 'of-the-parent'),
    ]
    for _ in range(2):  # without tables, and with those of another deployment
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # it would stop at the end of its input
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {'GLANCE_THREADS': 'green'},
        ) as child:
            status, said = child.wait(60), child.stderr.read()
        assert status == 1
        assert 'another database than when the service was started' in said
        assert run('manage', 'db', 'sync', '--config-file', path).returncode == 0
