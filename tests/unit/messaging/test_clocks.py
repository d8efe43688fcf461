"""Hosts may differ by an hour: conductors and workers compare no clocks."""

import ast
import pathlib

import pytest

import glance

ROOT = pathlib.Path(glance.__file__).parent
MODULES = [
    ROOT / 'domain' / 'remote_steps.py',
    *sorted((ROOT / 'messaging').glob('*.py')),
    *(
        ROOT / 'engine' / f'{name}.py'
        for name in (
            *('remote_engine', 'remote_steps', 'step_worker', 'step_watch'),
            *('unheard_answers', 'worker_directory'),
        )
    ),
]
OF_THE_HOST = {'time', 'time_ns', 'now', 'utcnow', 'today', 'localtime', 'gmtime'}


@pytest.mark.parametrize('path', MODULES, ids=lambda path: path.stem)
def test_nothing_that_meets_messages_reads_the_clock_of_its_host(path):
    """time.monotonic() means something in one process only, so nobody can send it to another."""
    read = [
        node.func.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    assert OF_THE_HOST.isdisjoint(read)
