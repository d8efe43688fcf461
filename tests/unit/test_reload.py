"""A reload that cannot use the files changes nothing, and says so in one line."""

import logging
import os
import subprocess
import sys

import pytest

from glance import bootstrap
from glance.cmd import _start
from glance.server import signals

SECRET = 'geheim'


@pytest.fixture
def running(tmp_path):
    """running.conf, as it is used by a service; running.reload(); running.file."""

    class Running:
        file = tmp_path / 'glance-api.conf'

        def reload(self):
            return _start.reload(self.conf, 'glance-api', self.argv, lambda conf: True)

    running = Running()
    running.file.write_text('[import_filtering_opts]\nread_timeout = 7\n')
    running.argv = ['--config-file', str(running.file)]
    running.conf = _start._read('glance-api', running.argv)
    bootstrap.register_plugin_opts(running.conf, executor=True)
    return running


GOOD = b'[import_filtering_opts]\nread_timeout = 9\n'


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        (GOOD + b'[DEFAULT]\ndebug = maybe\n', 'debug = maybe in '),
        (GOOD + b'[DEFAULT]\nlog-date-format\n', 'line 4: '),
        (GOOD + b'total_timeout = soon\n', 'total_timeout = soon in '),
        (GOOD + b'[task]\nmax_attempts = 0\n', 'max_attempts = 0 in '),
        (GOOD + b'[DEFAULT]\nlog_config_append = /nowhere\n', 'log_config_append = /nowhere'),
        (GOOD + b'# \xe4\n', 'not text in UTF-8: see line 3'),
        (GOOD.decode().encode('utf-16'), 'byte order mark'),
        (GOOD.decode().encode('utf-16-le'), 'NUL'),
        (b'\xef\xbb\xbf' + GOOD, 'byte order mark'),
        (GOOD + b'password ' + SECRET.encode(), 'line 3: '),
        (None, 'does not exist'),
        ('folder', 'cannot be read: Is a directory'),
    ],
)
def test_files_that_cannot_be_used_change_nothing(running, caplog, capfd, content, reason):
    running.file.unlink()
    if isinstance(content, bytes):
        running.file.write_bytes(content)
    elif content == 'folder':
        running.file.mkdir()
    with caplog.at_level(logging.INFO):
        assert running.reload() is False
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith('The configuration stays as it was: ')
    assert reason in line
    assert SECRET not in line
    assert running.conf.import_filtering_opts.read_timeout == 7
    assert capfd.readouterr() == ('', '')


def test_a_reload_names_what_changed_without_values(running, caplog):
    running.file.write_bytes(GOOD + f'proxy = http://user:{SECRET}@h:1\n'.encode())
    _start._log_masking.mask_handlers()
    with caplog.at_level(logging.INFO):
        assert running.reload() is True
    assert running.conf.import_filtering_opts.read_timeout == 9
    assert SECRET not in caplog.text
    [line] = [record.getMessage() for record in caplog.records]
    assert line.endswith(
        'changed: [import_filtering_opts] proxy, [import_filtering_opts] read_timeout'
    )


@pytest.mark.parametrize('stdout', ['none', 'closed'])
def test_a_process_without_standard_output_is_in_no_terminal(monkeypatch, stdout):
    with open(os.devnull, 'w') as closed:
        pass
    monkeypatch.setattr(sys, 'stdout', closed if stdout == 'closed' else None)
    assert signals.in_a_terminal() is False


def test_closed_descriptors_lead_to_nothing_and_not_to_the_next_file():
    code = (
        'import glance.cmd, os; opened = os.open("/dev/null", 0); '
        'os._exit(0 if opened > 2 and os.fstat(2).st_rdev == os.stat("/dev/null").st_rdev else 1)'
    )
    ended = subprocess.run(['sh', '-c', f"exec {sys.executable} -c '{code}' <&- >&- 2>&-"])
    assert ended.returncode == 0
