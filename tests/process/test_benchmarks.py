"""Each benchmark still runs: a tiny run of it, never a figure."""

import json
import pathlib
import subprocess
import sys

import pytest

PATIENCE = 300  # seconds; several run side by side
pytestmark = [pytest.mark.once, pytest.mark.soak, pytest.mark.timeout(PATIENCE + 60)]

BENCHMARKS = pathlib.Path(__file__).parents[2] / 'benchmarks'
SHARED = {'harness.py', 'databases.py'}
SCRIPTS = sorted(path.name for path in BENCHMARKS.glob('*.py') if path.name not in SHARED)


@pytest.mark.parametrize('script', SCRIPTS)
def test_a_tiny_run_gives_its_report(script, tmp_path):
    output = tmp_path / 'report.json'
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', BENCHMARKS / script, '--tiny', '--output', output],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(output.read_text())
    assert report['question'].endswith('?')
    assert report['results']
