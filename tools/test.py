"""Run the tests through tox, which is installed into .venv first.

python3 tools/test.py                    all tests, with the Python of .venv
python3 tools/test.py tests/unit -x      arguments go to pytest; -n 0 runs them one by one
python3 tools/test.py --env py312        with another Python
python3 tools/test.py --env lint         another environment of tox.ini
"""

import argparse
import signal
import subprocess
import sys

import environment


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--env', help='environment of tox.ini; default: that of this Python')
    parser.add_argument(
        '--others',
        action='store_true',
        help='print the environments of the other Pythons found here, and end',
    )
    options, arguments = parser.parse_known_args()

    python = environment.need('tox', ['tox'])
    tox = [python, '-m', 'tox', 'run']
    own = 'py{}{}'.format(*environment.version())
    if options.others:
        print(
            *(
                'py{}{}'.format(*version)
                for version in sorted(environment.TRIED)
                if 'py{}{}'.format(*version) != own and environment.found(version)
            )
        )
        return
    env = options.env or own
    if env.startswith('py3') and env[3:].isdigit():
        other = environment.found((3, int(env[3:])))
        if other:
            tox += ['--discover', other]
        elif env != own:
            environment.give_up(f'No Python 3.{env[3:]} with venv and pip was found.')

    environment.say(f'Preparing the tox environment {env}.')
    if subprocess.call([*tox, '-q', '--notest', '-e', env], cwd=environment.ROOT) != 0:
        environment.give_up(f'tox could not prepare {env}; its words are above.')
    given = ['--', *arguments] if arguments else []  # an empty list is not the default one
    sys.exit(run([*tox, '-qq', '--skip-pkg-install', '-e', env, *given], env))


def run(command, env):
    """Run tox without its own last line when the tests fail: the last one is pytest's."""
    if sys.stdout.isatty():
        return subprocess.call(command, cwd=environment.ROOT)
    with subprocess.Popen(command, cwd=environment.ROOT, stdout=subprocess.PIPE) as tox:
        try:
            for line in tox.stdout:
                if not line.startswith(f'{env}: exit '.encode()):
                    sys.stdout.buffer.write(line)
                    sys.stdout.flush()
        except BaseException:
            tox.terminate()
            raise
    return tox.returncode


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
