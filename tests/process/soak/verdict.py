"""What must be true at the end of a soak, and its figures."""

import collections
import contextlib
import json
import re

import psutil

from .. import checker
from ..conftest import until
from .sources import Cancel, Wanted

# Lines of level ERROR that tell of a fault of the soak, not of the service.
EXPECTED = (
    'its bytes in store .* could not be removed; the sweeper tries again: The database cannot',
)
_ERROR = re.compile(r'^\S+ \S+ \d+ (ERROR|CRITICAL) \S+ \[|^Traceback')


def settled(deployment, load, patience):
    """Wait until everything is tidied up; returns what is wrong if that does not happen."""

    def check():
        return _check(deployment, load)

    def true():
        with contextlib.suppress(AssertionError):
            check()
            return True

    with contextlib.suppress(AssertionError):
        until(true, 'the end of tidying up', patience)
    wrong = list(load.wrong)
    wrong += [f'{wanted.kind} {task_id} has not ended' for task_id, wanted in load.open.items()]
    try:
        ends = check()
    except AssertionError as error:
        return [*wrong, str(error).partition('\n')[0]]
    return wrong + _wrong_ends(deployment, load, ends)


def _check(deployment, load):
    log = deployment.folder / 'log'
    log.write_text(''.join(member.log for member in deployment.members.values()))
    return checker.check(
        deployment.folder,
        database=deployment.database,
        log=log,
        hosts=deployment.hosts,
        deleted=load.deleted,
    )


def _wrong_ends(deployment, load, ends):
    """Compare each task of the database with what was asked for, answered or not."""
    lost = [task_id for task_id in load.accepted if task_id not in ends]
    wrong = [f'Task {task_id} was answered with 201 and is gone' for task_id in lost]
    asked = {
        wanted.body['input'].get('import_from'): wanted.again()
        for wanted in [*load.accepted.values(), *load.unanswered]
    }
    with checker.reading(deployment.database) as connection:
        tasks = checker.rows_of(connection, 'tasks')
        infos = {row['task_id']: row for row in checker.rows_of(connection, 'task_info')}
        images = {row['id']: row for row in checker.rows_of(connection, 'images')}
    for task_id, (status, message, image) in ends.items():
        # A POST that was not answered, or was cut off, has a task that nobody has cancelled.
        source = json.loads(infos[task_id]['input']).get('import_from')
        wanted: Wanted = load.accepted.get(task_id) or asked[source]
        if said := wanted.wrong({'status': status, 'message': message or ''}):
            wrong.append(f'{wanted.kind} {task_id}: {said}')
        elif image and images[image]['os_hash_value'] != wanted.sha512:
            wrong.append(f'{wanted.kind} {task_id}: its image has other bytes')
    return list(dict.fromkeys(wrong)) + _wrong_retries(load, tasks)


def _wrong_retries(load, tasks):
    """Each retry, however often it was sent, has made one task, which names the failed one."""
    repeats = {row['id']: row['retry_of'] for row in tasks if row['retry_of'] is not None}
    counts = collections.Counter(repeats.values())
    wrong = [f'{task_id} has {count} retries' for task_id, count in counts.items() if count > 1]
    return wrong + [
        f'task {task_id} is no retry of {failed}'
        for task_id, failed in load.retried.items()
        if repeats.get(task_id) != failed
    ]


def of_processes(deployment):
    """What is wrong with the ends of processes, their logs, and what is left of them."""
    wrong = [line for member in deployment.members.values() for line in member.wrong]
    errors = collections.Counter()
    for member in deployment.members.values():
        for line in member.log.splitlines():
            if _ERROR.match(line) and not any(re.search(pattern, line) for pattern in EXPECTED):
                errors[re.sub(r'^\S+ \S+ \d+ |[0-9a-f-]{36}', '', line)[:300]] += 1
    wrong += [f'{count} times in the logs: {line}' for line, count in errors.items()]
    for process in psutil.process_iter(['cmdline']):
        if any(str(deployment.folder) in word for word in process.info['cmdline'] or ()):
            wrong.append(f'a process is left: {process.info["cmdline"]}')
    return wrong


def summary(deployment, load, ended_after):
    members = deployment.members.values()
    return {
        'faults': deployment.faults,
        'posts answered with 201': len(load.accepted),
        'tasks': dict(sorted(load.outcomes.items())),
        'answers': {str(status): count for status, count in sorted(load.answers.items())},
        'images deleted': len(load.deleted),
        'retries': len(load.retried),
        'cancels answered with 202': sum(
            wanted.cancel is Cancel.PROMISED for wanted in load.accepted.values()
        ),
        'seconds from a cancel to the end: median, longest': _median_and_longest(
            load.cancel_times
        ),
        'processes ended by poison': sum(member.poisoned for member in members),
        'starts while the database was in trouble': sum(member.refused for member in members),
        'stops ended by their time limit': sum(member.overdue for member in members),
        'children started': sum(member.children() for member in members),
        'seconds from the last fault to the last end': round(ended_after, 1),
    }


def _median_and_longest(seconds):
    found = sorted(seconds)
    return [round(found[len(found) // 2], 1), round(found[-1], 1)] if found else None
