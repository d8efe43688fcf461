"""Which fault happens when, and to which process: all of it follows from a seed."""

import dataclasses
import random

INTERVAL = 2.0  # seconds between two faults
RECOVERY = 3.0  # seconds that a process is spared after it was started again
DATABASE = 'database'  # the target of what every process notices

# Fault to how often it is chosen, compared with others, and its seconds, from and to.
FAULTS = {
    'kill': (4, 0, 4),  # SIGKILL; started again after so long
    'pause': (4, 0.5, 9),  # SIGSTOP and SIGCONT; the longest outlast a lease
    'restart': (2, 0, 1),  # SIGTERM; started again when it has ended
    'reload': (1, 0, 0),  # SIGHUP
}
# The same for the connection of one process to a database server, and for a whole server.
FAULTS_OF_CONNECTIONS = {'cut': (3, 0, 4), 'stall': (3, 0.5, 9)}
FAULTS_OF_SERVERS = {'read_only': (2, 1, 5)}
# A file has no connections. Another process holds the lock for writing.
FAULTS_OF_FILES = {'lock': (4, 0.5, 9)}
ENDING_PROCESS = ('kill', 'restart')


@dataclasses.dataclass(frozen=True)
class Fault:
    """at: seconds after the begin; seconds: how long it lasts; target: a process or DATABASE."""

    at: float
    kind: str
    target: str
    seconds: float


def faults_of(database):
    """The faults that are possible with this kind of database."""
    if database == 'sqlite':
        return FAULTS | FAULTS_OF_FILES
    if database == 'postgresql':
        return FAULTS | FAULTS_OF_CONNECTIONS | FAULTS_OF_SERVERS
    return FAULTS | FAULTS_OF_CONNECTIONS


def schedule(seed, seconds, processes, database):
    """The faults of so many seconds, in order. No target has two at a time."""
    chance = random.Random(f'{seed}/faults')
    table = faults_of(database)
    weights = [weight for weight, _least, _most in table.values()]
    free_at = dict.fromkeys([*processes, DATABASE], 0.0)
    found = []
    for number in range(1, int(seconds / INTERVAL)):
        at = number * INTERVAL
        kind = chance.choices(list(table), weights)[0]
        target = (
            DATABASE if kind in FAULTS_OF_SERVERS | FAULTS_OF_FILES else chance.choice(processes)
        )
        _weight, least, most = table[kind]
        lasts = round(chance.uniform(least, most), 2)
        if free_at[target] > at:
            continue
        free_at[target] = at + lasts + (RECOVERY if kind in ENDING_PROCESS else 0)
        found.append(Fault(at, kind, target, lasts))
    return found
