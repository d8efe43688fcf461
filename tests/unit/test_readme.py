"""The first two literal blocks of the README are the two commands."""

import pathlib
import re
import textwrap

ROOT = pathlib.Path(__file__).parents[2]


def literal_blocks():
    blocks = re.findall(r'::\n\n((?:    .*\n|\n)+)', (ROOT / 'README.rst').read_text())
    return [textwrap.dedent(block).strip() for block in blocks]


def test_the_first_two_blocks_are_one_command_each():
    assert literal_blocks()[:2] == ['python3 tools/demo.py', 'python3 tools/test.py']


def test_ci_runs_both():
    lines = [line.strip() for line in (ROOT / '.ci' / 'run').read_text().splitlines()]
    for command in literal_blocks()[:2]:
        assert command in lines
