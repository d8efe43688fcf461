"""The databases that benchmarks run on: fresh ones, with what their servers used."""

import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile
import uuid

import harness
import sqlalchemy as sa


class Sqlite:
    """The default: a file in the state folder."""

    described = 'sqlite, WAL, synchronous=FULL'

    def __init__(self):
        self.options = {}

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        pass

    def cpu_seconds(self):
        return 0.0  # it is in the service


class Postgresql:
    """A database of its own on a server of this machine (GLANCE_TEST_POSTGRESQL)."""

    def __init__(self):
        server = sa.make_url(
            os.environ.get(
                'GLANCE_TEST_POSTGRESQL', 'postgresql+psycopg2://root@127.0.0.1/postgres'
            )
        )
        self._admin = sa.create_engine(
            server, isolation_level='AUTOCOMMIT', poolclass=sa.pool.NullPool
        )
        self._name = f'glance_benchmark_{uuid.uuid4().hex[:12]}'
        url = server.set(database=self._name).render_as_string(hide_password=False)
        self.options = {'database': {'connection': url}}
        self.described = ', '.join(
            ['postgresql ' + self._ask('SHOW server_version')]
            + [f'{name}={self._ask(f"SHOW {name}")}' for name in ('fsync', 'synchronous_commit')]
        )

    def __enter__(self):
        self._ask(f'CREATE DATABASE {self._name}')
        with tempfile.TemporaryDirectory(prefix='glance-benchmark-') as folder:
            config = pathlib.Path(folder) / 'glance-api.conf'
            config.write_text(
                f'[DEFAULT]\nstate_path = {folder}/state\n'
                f'[database]\nconnection = {self.options["database"]["connection"]}\n'
            )
            manage = [sys.executable, '-W', 'ignore', '-m', 'glance.cmd.manage']
            subprocess.run(
                [*manage, '--config-file', config, 'db', 'sync'], check=True, capture_output=True
            )
        return self

    def __exit__(self, *_error):
        self._ask(f'DROP DATABASE {self._name} WITH (FORCE)')

    def _ask(self, words):
        with self._admin.connect() as connection:
            answer = connection.execute(sa.text(words))
            return answer.scalar() if answer.returns_rows else None

    def cpu_seconds(self):
        """Of the server's processes, those that have ended too."""
        with self._admin.connect() as connection:
            backend = connection.scalar(sa.text('SELECT pg_backend_pid()'))
            postmaster = int(harness.stat(backend)[1])
            used = sum(map(int, harness.stat(postmaster)[11:15]))
            children = pathlib.Path(f'/proc/{postmaster}/task/{postmaster}/children').read_text()
            for child in children.split():
                with contextlib.suppress(OSError):
                    used += sum(map(int, harness.stat(child)[11:13]))
        return used / harness.TICKS


_KINDS = {'sqlite': Sqlite, 'postgresql': Postgresql}
NAMES = tuple(_KINDS)


def make(name):
    """A fresh database, to be used in a with statement."""
    return _KINDS[name]()


def described(name):
    return _KINDS[name]().described
