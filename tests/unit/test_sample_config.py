"""etc/glance-api.conf is what the generator makes of the options."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
GENERATOR = 'etc/oslo-config-generator/glance-api.conf'


def test_the_sample_configuration_is_current(tmp_path):
    made = tmp_path / 'glance-api.conf'
    # In a process of its own: libraries change the defaults of options when they are
    # set up. Without the environment: the sample must be the same on every machine.
    subprocess.run(
        [
            sys.executable,
            '-W',
            'ignore',
            '-m',
            'oslo_config.generator',
            '--config-file',
            GENERATOR,
            '--output-file',
            str(made),
        ],
        cwd=ROOT,
        env={'HOME': str(tmp_path)},
        check=True,
        stdin=subprocess.DEVNULL,
    )
    assert made.read_text() == (ROOT / 'etc' / 'glance-api.conf').read_text(), (
        f'The options have changed: run "oslo-config-generator --config-file {GENERATOR}".'
    )
