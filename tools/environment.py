"""The virtual environment .venv of this checkout, made when it is needed.

For the other scripts here. Standard library only, and written so that an old
Python 3 reads it too: it only has to find a newer one.
"""

import glob
import hashlib
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, '.venv')
PYTHON = os.path.join(VENV, 'bin', 'python')

TRIED = ((3, 13), (3, 12), (3, 11))  # what the tests run with; the newest first

SAY_VERSION = 'print("%d.%d" % sys.version_info[:2])'


def give_up(sentence):
    """End with one line that says what to do."""
    sys.stdout.flush()
    sys.stderr.write(sentence + '\n')
    sys.exit(1)


def say(sentence):
    print(sentence, flush=True)


def _progress(sentence):
    sys.stdout.flush()
    sys.stderr.write(sentence + '\n')
    sys.stderr.flush()


def need(what, requirements):
    """Have these requirements in .venv, and return its Python.

    what          a word for them, the name of the stamp that says they are there
    requirements  arguments of "pip install"; versions are those of constraints.txt
    """
    wanted = _fingerprint(requirements)
    stamp = os.path.join(VENV, '.glance-' + what)
    if _read(stamp) == wanted and version():
        return PYTHON
    _make()
    _progress(f'Installing {what} into .venv; the first time this takes a minute or two.')
    command = [
        PYTHON,
        '-m',
        'pip',
        'install',
        '-qq',
        '--disable-pip-version-check',
        '-c',
        os.path.join(ROOT, 'constraints.txt'),
    ]
    if subprocess.call(command + requirements, cwd=ROOT, stdin=subprocess.DEVNULL) != 0:
        give_up(
            'pip could not install what is needed (its words are above); '
            'once that is mended, run this again.'
        )
    with open(stamp, 'w') as file:
        file.write(wanted)
    return PYTHON


def version():
    """The version of the Python in .venv, (3, 12) for example."""
    return _ask(PYTHON, 'import sys; ' + SAY_VERSION)


def found(version):
    """The path of a Python of this version, (3, 12) for example, or None."""
    for path in _candidates(version):
        if _probe(path) == version:
            return path
    return None


def _make():
    """Make .venv, unless there is one that can be used."""
    there = _ask(PYTHON, 'import pip, sys; ' + SAY_VERSION)
    if there is not None and there >= TRIED[-1]:
        return
    python = _suitable()
    if os.path.lexists(VENV):
        if not glob.glob(os.path.join(VENV, '.glance-*')):
            give_up(
                f'{VENV} exists, but its Python cannot be used; remove the folder '
                'and run this again.'
            )
        shutil.rmtree(VENV)
    _progress(f'Making the virtual environment .venv with {python}.')
    os.makedirs(VENV)
    with open(os.path.join(VENV, '.glance-begun'), 'w'):
        pass  # so that a half-made one is known as ours
    if subprocess.call([python, '-m', 'venv', VENV], stdin=subprocess.DEVNULL) != 0:
        give_up('The virtual environment could not be made (the reason is above).')


def _suitable():
    """A Python that can run the service: this one, or another of this machine."""
    here = tuple(sys.version_info[:2])
    if here in TRIED and _probe(sys.executable):
        return sys.executable
    for version in TRIED:
        path = found(version)
        if path:
            return path
    if here > TRIED[0] and _probe(sys.executable):
        _progress('This is Python {}.{}, which is newer than what was tried.'.format(*here))
        return sys.executable
    if here >= TRIED[-1]:
        give_up(
            'This Python {0}.{1} has no venv and pip; install them, on Debian and Ubuntu with: '
            'apt install python{0}.{1}-venv'.format(*here)
        )
    give_up(
        'Python 3.11, 3.12 or 3.13 is needed and only {}.{} was found; install one, on '
        'Debian and Ubuntu with: apt install python3.11 python3.11-venv'.format(*here)
    )
    return None


def _candidates(version):
    name = 'python{}.{}'.format(*version)
    for folder in os.environ.get('PATH', os.defpath).split(os.pathsep):
        path = os.path.join(folder, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            yield path
    # pyenv keeps those that are installed but not chosen off the PATH
    pyenv = os.environ.get('PYENV_ROOT') or os.path.expanduser('~/.pyenv')
    for path in sorted(glob.glob(os.path.join(pyenv, 'versions', '*', 'bin', name))):
        yield path


def _probe(python):
    """The version of a Python that can make virtual environments, else None."""
    return _ask(python, 'import ensurepip, sys, venv; ' + SAY_VERSION)


def _ask(python, question):
    try:
        answer = subprocess.check_output(
            [python, '-c', question], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return tuple(int(part) for part in answer.decode().strip().split('.'))


def _fingerprint(requirements):
    digest = hashlib.sha256(repr((ROOT, requirements)).encode())
    for name in ('setup.cfg', 'constraints.txt'):
        with open(os.path.join(ROOT, name), 'rb') as file:
            digest.update(file.read())
    return digest.hexdigest()


def _read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return None
