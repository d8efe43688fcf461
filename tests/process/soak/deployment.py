"""Four processes on two hosts, each started again when it ends, and the faults they suffer."""

import contextlib
import queue
import re
import signal
import sqlite3
import subprocess
import threading
import time

import sqlalchemy as sa

from ..conductors import Conductor
from ..conftest import Api, free_port, until
from ..nursery import Nursery
from ..relay import Relay
from . import schedule, sources

KINDS = {'api': Api, 'conductor': Conductor}
PORTS = {'postgresql': 5432, 'mysql': 3306}
HOSTS = ('a', 'b')
PROCESSES = [f'{kind}-{host}' for host in HOSTS for kind in KINDS]
TICK = 0.1  # seconds between two looks whether a process lives
STOP = 40.0  # seconds that a process has to end after SIGTERM
START = 40.0  # seconds after which a start that answers nothing is wrong
# Until then, SIGTERM ends a process at once: it runs nothing yet.
READY = {'api': 'Serving as process', 'conductor': 'Running tasks as process'}
CHILD = re.compile(r'Process (\d+) runs up to \d+ tasks whose processes died')
LEASE = 6  # seconds; some pauses last longer


class Member:
    """One process of the deployment: a thread that starts it again and harms it as planned.

    name   kind and host
    relay  its way to the database server; None if the database is a file
    tell   called with a sentence for each thing that happens
    """

    def __init__(self, name, config, log, nursery, relay, tell):
        self.name = name
        self.kind = name.partition('-')[0]
        self._log_path = log
        self.relay = relay
        self.wrong = []  # ends and starts that nothing explains
        self.poisoned = 0  # times that SIGKILL came from within
        self.overdue = 0  # stops that took longer than graceful_shutdown_timeout
        self.refused = 0  # starts while the database was in trouble
        self._config = config
        self._nursery = nursery
        self._tell = tell
        self._faults = queue.SimpleQueue()
        self._sent = 0  # the last signal that it got while it started
        self._trouble_until = 0.0
        self._ready = False
        self._over = threading.Event()
        self._start()
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)
        self._thread.start()

    @property
    def log(self):
        """What all its lives have logged."""
        return self._log_path.read_text(errors='replace')

    def children(self):
        """How many children it has started for suspects."""
        return len(CHILD.findall(self.log))

    def suffer(self, fault):
        self._faults.put(fault)

    def expect_trouble(self, seconds):
        """The database does not answer as it should for so many seconds, and some more."""
        self._trouble_until = max(self._trouble_until, time.monotonic() + seconds + START / 2)

    def write_stacks(self):
        if self._is_ready():
            self._process.signal(signal.SIGUSR2)

    def end(self):
        """Stop it as an operator does. Returns the exit status."""
        self._over.set()
        self._thread.join(STOP)
        assert not self._thread.is_alive(), f'the thread of {self.name} does not end'
        self._process.signal(signal.SIGTERM)
        try:
            return self._process.process.wait(STOP)
        finally:
            self._process.end()

    def _start(self):
        self._ready = False
        self._started_at = time.monotonic()
        self._sent = 0
        self._process = KINDS[self.kind](self._config, self._log_path, nursery=self._nursery)

    def _live(self):
        try:
            while not self._over.is_set():
                with contextlib.suppress(queue.Empty):
                    fault = self._faults.get(timeout=TICK)
                    getattr(self, f'_{fault.kind}')(fault.seconds)
                self._tend()
        except Exception as error:
            self.wrong.append(f'{self.name}: the test itself failed: {error!r}')
            raise

    def _tend(self):
        """Start it again if it has ended by itself."""
        status = self._process.process.poll()
        if status is not None:
            self._judge(status)
            self._begin_again(0)
        elif not self._is_ready() and time.monotonic() - self._started_at > START:
            if not self._in_trouble:
                self._blame(f'did not start in {START} seconds')
            self._started_at = time.monotonic()

    def _judge(self, status):
        """Say so if nothing explains this end."""
        self._tell(f'{self.name} {self._process.process.pid} ended with status {status}')
        if status == -signal.SIGKILL:
            self.poisoned += 1
        elif status == 1 and self._in_trouble:
            self.refused += 1
        elif self._sent == signal.SIGTERM and self._is_overdue(status):
            self.overdue += 1  # on a busy machine, or without its database
        elif self._sent == signal.SIGTERM and status == 0:
            pass
        elif not self._sent or status != -self._sent or self._is_ready():
            self._blame(f'ended with status {status}')

    def _is_overdue(self, status):
        # glance-api is ended by its alarm, a conductor ends itself and says why.
        return status == -signal.SIGALRM or (
            status == 1 and 'within graceful_shutdown_timeout' in self._process.log[-2000:]
        )

    def _blame(self, what):
        lines = self._process.log.splitlines()[-5:]
        self.wrong.append(f'{self.name} {what}: {lines}')
        self._tell(self.wrong[-1])

    @property
    def _in_trouble(self):
        return time.monotonic() < self._trouble_until

    def _is_ready(self):
        # A child of an earlier life may still say the same in this log.
        said = f'{READY[self.kind]} {self._process.process.pid}'
        self._ready = self._ready or said in self._process.log
        return self._ready

    def _begin_again(self, seconds):
        self._process.end()
        self._over.wait(seconds)
        self._start()

    def _kill(self, seconds):
        self._process.signal(signal.SIGKILL)
        self._process.exit_status()
        self._begin_again(seconds)

    def _restart(self, seconds):
        self._send(signal.SIGTERM)
        try:
            self._judge(self._process.process.wait(STOP))
        except subprocess.TimeoutExpired:
            self._blame(f'did not end in {STOP} seconds')
        self._begin_again(seconds)

    def _reload(self, _seconds):
        self._send(signal.SIGHUP)

    def _send(self, number):
        self._is_ready()  # a process that is not yet ready is ended by these signals
        self._sent = number
        self._process.signal(number)

    def _pause(self, seconds):
        if not self._is_ready():
            self.expect_trouble(seconds)  # to a start, a pause looks like a database that is late
        self._process.signal(signal.SIGSTOP)
        time.sleep(seconds)
        self._process.signal(signal.SIGCONT)

    def _cut(self, seconds):
        self.expect_trouble(seconds)
        self.relay.cut()
        time.sleep(seconds)
        self.relay.mend()

    def _stall(self, seconds):
        self.expect_trouble(seconds)
        self.relay.silence()
        time.sleep(seconds)
        self.relay.speak()


class Deployment:
    """Two hosts with folders of their own, one database and one folder of images.

    folder    all of it
    database  its URL
    sections  more of the configuration: {section: {option: value}}
    ways      process to its task executor
    """

    def __init__(self, folder, database, sections, ways, environment):
        self.folder = folder
        self.database = database
        self.url = sa.make_url(database)
        self.hosts = [folder / f'host-{host}' for host in HOSTS]
        self.faults = dict.fromkeys(schedule.faults_of(self.url.get_backend_name()), 0)
        self.last_fault = time.monotonic()
        self.ports = []
        self._events = open(folder / 'events', 'a')  # noqa: SIM115 - closed in close()
        self._nursery = Nursery(**environment)
        self.members = {name: self._member(name, sections, ways[name]) for name in PROCESSES}
        for member in self.members.values():
            until(lambda member=member: READY[member.kind] in member.log, 'a start')

    def _member(self, name, sections, way):
        kind, _, host = name.partition('-')
        relay, url = None, self.url
        if url.host:
            relay = Relay(url.host, url.port or PORTS[url.get_backend_name()])
            url = url.set(host='127.0.0.1', port=relay.port)
            if url.get_backend_name() == 'postgresql':
                url = url.update_query_dict({'sslmode': 'disable', 'gssencmode': 'disable'})
        options = {
            'DEFAULT': {
                'state_path': self.folder / f'host-{host}',
                'graceful_shutdown_timeout': 10,
                'image_size_cap': sources.CAP,
            },
            'database': {'connection': url.render_as_string(hide_password=False)},
            'glance_store': {'filesystem_store_datadir': self.folder / 'images'},
            'task': {'task_executor': way, 'lease_time': LEASE},
        }
        if kind == 'api':
            self.ports.append(free_port())
            options['DEFAULT']['bind_port'] = self.ports[-1]
        for section, values in sections.items():
            options[section] = options.get(section, {}) | values
        config = self.folder / f'{name}.conf'
        config.write_text(
            '\n'.join(
                f'[{section}]\n' + ''.join(f'{key} = {value}\n' for key, value in values.items())
                for section, values in options.items()
            )
        )
        log = self.folder / f'{name}.log'
        return Member(name, config, log, self._nursery, relay, self.tell)

    def tell(self, what):
        self._events.write(f'{time.strftime("%H:%M:%S")} {what}\n')
        self._events.flush()

    def suffer(self, faults):
        """Harm the processes as planned. Returns when the last fault is over."""
        begin = time.monotonic()
        for fault in faults:
            time.sleep(max(0.0, begin + fault.at - time.monotonic()))
            self.tell(f'{fault.kind} {fault.target} for {fault.seconds} seconds')
            self.faults[fault.kind] += 1
            # A process that is paused amid a transaction keeps a file locked.
            if fault.target == schedule.DATABASE or (fault.kind == 'pause' and not self.url.host):
                for member in self.members.values():
                    member.expect_trouble(fault.seconds)
            if fault.target == schedule.DATABASE:
                threading.Thread(
                    target=getattr(self, f'_{fault.kind}'), args=(fault.seconds,), daemon=True
                ).start()
            else:
                self.members[fault.target].suffer(fault)
        over = begin + max(fault.at + fault.seconds for fault in faults)
        time.sleep(max(0.0, over - time.monotonic()))
        self.last_fault = time.monotonic()
        self.tell('that was the last fault')

    def _lock(self, seconds):
        # SQLite's own wait would stop all green threads of this process.
        with contextlib.closing(sqlite3.connect(self.url.database, timeout=0)) as other:
            while not other.in_transaction:
                with contextlib.suppress(sqlite3.OperationalError):
                    other.execute('BEGIN IMMEDIATE')
                time.sleep(TICK / 10)
            time.sleep(seconds)
            other.rollback()

    def _read_only(self, seconds):
        """As after a fail-over to a server that only follows another, and back."""
        administrator = sa.create_engine(
            self.url.set(database='postgres'),
            isolation_level='AUTOCOMMIT',
            poolclass=sa.pool.NullPool,
        )
        name = self.url.database
        end_all = sa.text(
            'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name'
        )
        with administrator.connect() as connection:
            connection.exec_driver_sql(
                f'ALTER DATABASE {name} SET default_transaction_read_only = on'
            )
            connection.execute(end_all, {'name': name})
            time.sleep(seconds)
            connection.exec_driver_sql(
                f'ALTER DATABASE {name} RESET default_transaction_read_only'
            )
            connection.execute(end_all, {'name': name})
        administrator.dispose()

    def write_stacks(self):
        """Let each process write to its log what it waits for."""
        for member in self.members.values():
            member.write_stacks()

    def stop(self):
        """End all processes as an operator does; returns what is wrong with that."""
        statuses = {}
        threads = [
            threading.Thread(
                target=lambda name=name, member=member: statuses.update({name: member.end()})
            )
            for name, member in self.members.items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [
            f'{name} ended with status {statuses.get(name)} at the end'
            for name in self.members
            if statuses.get(name) != 0
        ]

    def close(self):
        self._nursery.close()
        for member in self.members.values():
            if member.relay is not None:
                member.relay.close()
        self._events.close()
