"""tools/environment.py finds a Python for .venv, or says in one line what to install."""

import importlib.util
import pathlib
import sys

import pytest

PATH = pathlib.Path(__file__).parents[2] / 'tools' / 'environment.py'


@pytest.fixture
def environment():
    """The module, fresh for each test: it is no part of a package."""
    spec = importlib.util.spec_from_file_location('environment', PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def machine(environment, monkeypatch):
    """machine(version of this Python, {path: version}): what there is on the machine.

    A version of None stands for a Python without venv and pip.
    """

    def make(here, others):
        monkeypatch.setattr(sys, 'version_info', here)
        monkeypatch.setattr(sys, 'executable', 'this')
        monkeypatch.setattr(environment, '_candidates', lambda version: others)
        monkeypatch.setattr(environment, '_probe', others.get)
        return environment

    return make


def test_this_python_is_taken_when_it_was_tried(machine):
    found = machine((3, 11, 2), {'this': (3, 11), 'newer': (3, 13)})
    assert found._suitable() == 'this'


@pytest.mark.parametrize('here', [(3, 9, 2), (3, 11, 2), (3, 14, 0)])
def test_another_python_is_taken_when_this_one_will_not_do(machine, here):
    found = machine(here, {'old': (3, 11), 'new': (3, 12)})
    assert found._suitable() == 'new'


def test_a_python_newer_than_tried_is_taken_when_there_is_no_other(machine, capsys):
    assert machine((3, 14, 0), {'this': (3, 14)})._suitable() == 'this'
    assert 'newer than what was tried' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('here', 'install'),
    [
        ((3, 9, 2), 'apt install python3.11 python3.11-venv'),
        ((3, 12, 1), 'apt install python3.12-venv'),
    ],
)
def test_one_line_says_what_to_install(machine, capsys, here, install):
    with pytest.raises(SystemExit, match='1'):
        machine(here, {'this': None})._suitable()
    said = capsys.readouterr().err
    assert said.count('\n') == 1
    assert install in said
