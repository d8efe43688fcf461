"""Virtual environments for what is installed beside, or instead of, this service."""

import os
import pathlib
import site
import subprocess
import sys
import venv


class Environment:
    """A virtual environment that also sees the packages of the one that runs the tests.

    Packages that are installed in it come first.
    """

    def __init__(self, folder):
        venv.create(folder, with_pip=False)
        self.python = folder / 'bin' / 'python'
        own = subprocess.check_output(
            [self.python, '-c', 'import site; print(site.getsitepackages()[0])'], text=True
        ).strip()
        lines = ''.join(
            f'import site; site.addsitedir({path!r})\n' for path in site.getsitepackages()
        )
        pathlib.Path(own, 'packages-of-the-tests.pth').write_text(lines)

    def install(self, project):
        """Install a project from its folder, without what it requires.

        It is built with the setuptools of the tests, so nothing is fetched.
        """
        self._run(
            sys.executable,
            *('-m', 'pip', '--python', self.python, 'install', '--quiet'),
            *('--no-deps', '--no-build-isolation'),
            project,
        )

    def pytest(self, folder, **environment):
        """Run the tests of a project."""
        self._run(
            self.python,
            *('-m', 'pytest', '-q', '-p', 'no:cacheprovider', '-c', '/dev/null'),
            *('--rootdir', folder, folder),
            environment=environment,
        )

    def _run(self, *command, environment=None):
        done = subprocess.run(
            [str(part) for part in command],
            env=os.environ | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, done.stdout
