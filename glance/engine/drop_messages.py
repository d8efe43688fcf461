"""What the log says of a run that was dropped."""

from glance.domain.lease import (
    Acquitted,
    CancelIgnored,
    DatabaseGone,
    Drop,
    Ended,
    HandBack,
    HostGone,
    Lacking,
    LostLease,
    NoFreeThread,
    QueueBroke,
    RunBroke,
    Stalled,
    WorkerGaveUp,
    WorkerLost,
)

# What the log says of a run that was dropped, by the class of the Drop.
MESSAGES = {
    HandBack: (
        'Task %s was handed back to the queue because the service is stopping; '
        'another run will continue it'
    ),
    NoFreeThread: (
        'Task %s was handed back to the queue because no thread is free to run its steps; '
        'another run will continue it'
    ),
    Acquitted: 'Task %s got further and is not suspect any more; another run will continue it',
    LostLease: (
        'Task %s is no longer run by this process because its lease was lost; '
        'another process has claimed or ended it'
    ),
    QueueBroke: (
        'The run of task %s was stopped by an unknown error of the queue; '
        'another run will continue it'
    ),
    DatabaseGone: (
        'The run of task %s was stopped because the database does not answer; '
        'another run will continue it'
    ),
    WorkerGaveUp: (
        'Task %s was handed back to the queue because the worker that did its step gave it up; '
        'another run will continue it'
    ),
    HostGone: (
        'Task %s was handed back to the queue because no worker has what it has staged; '
        'another run will fetch it again'
    ),
    WorkerLost: (
        'The run of task %s was stopped because the worker that did its step is gone; '
        'another run will continue it'
    ),
    Lacking: (
        'The run of task %s was stopped because this process lacks descriptors, memory or '
        'threads; another run will continue it'
    ),
    Stalled: (
        'The run of task %s was stopped because it made no progress; another run will continue it'
    ),
    RunBroke: (
        'The run of task %s was stopped by an unexpected error; another run will continue it'
    ),
    CancelIgnored: (
        'The run of task %s was stopped because a step went on although the task is cancelled; '
        'another run will undo it'
    ),
    Ended: 'Task %s has already succeeded; another run will clean up after it',
    Drop: 'The run of task %s was stopped; another run will continue it',
}


def of(drop: Drop) -> str:
    """The sentence of this kind of Drop, or of the nearest class that it derives from."""
    return next(
        MESSAGES[kind]
        for kind in type(drop).__mro__
        if issubclass(kind, Drop) and kind in MESSAGES
    )
