"""A library whose private parts are used is named when its version was not tried."""

import configparser
import pathlib

import pytest

from glance import tried_versions

ROOT = pathlib.Path(__file__).parents[2]


def test_the_table_has_the_versions_of_constraints_txt():
    lines = (ROOT / 'constraints.txt').read_text().splitlines()
    constraints = dict(line.split('==') for line in lines if '==' in line and ';' not in line)
    assert {name: constraints[name] for name in tried_versions.TRIED} == tried_versions.TRIED


def test_each_library_of_the_table_has_an_upper_bound_above_the_tried_version():
    setup = configparser.ConfigParser()
    setup.read(ROOT / 'setup.cfg')
    required = setup['options']['install_requires'].split()
    for name, version in tried_versions.TRIED.items():
        [requirement] = [each for each in required if each.startswith(f'{name}>=')]
        assert requirement.endswith(f',<{int(version.split(".")[0]) + 1}')


@pytest.mark.parametrize('version', ['6.6.0', '7.5.0', '6', '5.5.0'])
def test_another_minor_version_is_named_with_the_tried_one(caplog, version):
    tried_versions.warn((tried_versions.TRIED | {'taskflow': version}).__getitem__)
    [record] = caplog.records
    assert record.action == 'untried_version'
    assert f'taskflow {version}' in record.getMessage()
    assert '6.5.0' in record.getMessage()


def test_another_patch_of_the_same_minor_version_passes(caplog):
    tried_versions.warn((tried_versions.TRIED | {'taskflow': '6.5.9'}).__getitem__)
    assert caplog.records == []
