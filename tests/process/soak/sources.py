"""What the tasks of a soak ask for, and what must come of each."""

import dataclasses
import enum
import hashlib
import itertools
import os
import time

from glance.testing import images
from glance.testing.source_server import Answer, Raw, Silence, redirect

MIB = 2**20
SMALLEST, LARGEST = 1024, 64 * MIB
SIZES = 17  # files; each is twice as large as the one before it
LARGEST_SLOW = 16 * MIB
CAP = 80 * MIB  # image_size_cap
PIECE = 65536
READ_TIMEOUT = 6  # seconds
CANCELLED = 'The task was cancelled on request.'  # the message of a cancelled task

OK = b'HTTP/1.1 200 OK\r\n'
CHUNKED = OK + b'Transfer-Encoding: chunked\r\n\r\n'


def _silent_after(first):
    yield first
    time.sleep(100 * READ_TIMEOUT)  # longer than any pause or outage of those who wait


def _for_ever(piece, first=b''):
    yield first
    yield from itertools.repeat(piece)


def _drip():
    while True:
        yield b'x'
        time.sleep(1)


# What a source does, as a function that makes its page, and what the task says of it.
BAD = {
    'gone': (lambda: Answer(status=404), 'answered 404 Not Found'),
    'broken': (lambda: Answer(status=500), 'answered 500 Internal Server Error'),
    'cut': (lambda: Answer(b'bits', announced=9), 'announced 9 bytes but sent 4'),
    'cut-late': (
        lambda: Answer(itertools.repeat(b'x' * PIECE, 100), announced=9 * MIB),
        f'announced {9 * MIB} bytes but sent {100 * PIECE}',
    ),
    'hangs-up': (lambda: Raw(b''), 'broke the connection before it answered'),
    'no-last-chunk': (lambda: Raw(CHUNKED + b'4\r\nbits\r\n'), 'after 4 bytes'),
    'empty': (lambda: Answer(b''), 'an empty body'),
    'silent': (Silence, 'was silent for too long before it answered'),
    'silent-amid': (
        lambda: Answer(_silent_after(b'bits'), announced=9),
        'was silent for too long after 4 bytes',
    ),
    'drips': (lambda: Answer(_drip(), announced=100000), 'slower than minimum_rate allows'),
    'endless': (lambda: Answer(_for_ever(b'x' * PIECE)), 'larger than image_size_cap'),
    'too-large': (lambda: Answer(announced=CAP + 1), 'larger than image_size_cap'),
    'endless-head': (lambda: Raw(_for_ever(b'X: y\r\n', OK)), 'broke the rules of HTTP'),
    'two-lengths': (
        lambda: Answer(b'bits', headers=[('Content-Length', '9')], announced=4),
        'more than one Content-Length',
    ),
    'negative-length': (lambda: Answer(b'bits', announced='-4'), 'not a number of bytes'),
    'disguised': (lambda: images.qcow2(backing_file='/etc/passwd'), 'it has a backing file'),
}
RARE = {'drips': 0.1, 'endless': 0.4, 'silent': 2}  # how often, compared with the others
HEALTHY = {'plain': 6, 'slow': 3, 'chunked': 2, 'moved': 1}


class Cancel(enum.IntEnum):
    """Whether a client has cancelled a task."""

    NONE = 0
    ASKED = 1  # the request may have been refused, or have come too late
    PROMISED = 2  # it was answered with 202


@dataclasses.dataclass
class Wanted:
    """One POST, and what must come of it.

    kind     what the source does; 'poison' for a task that kills its process
    body     of the POST
    sha512   of the image that a healthy task makes
    size     of it
    said     what the message of a bad one contains
    deleted  a caller deletes the image as soon as it sees it
    cancel   whether a caller has cancelled the task
    cancelled_at  time.monotonic() at which that was answered with 202
    """

    kind: str
    body: dict
    sha512: str = ''
    size: int = 0
    said: str = ''
    deleted: bool = False
    cancel: Cancel = Cancel.NONE
    cancelled_at: float | None = None

    def again(self):
        """The same for another task, which nobody has cancelled."""
        return dataclasses.replace(self, cancel=Cancel.NONE, cancelled_at=None)

    @property
    def is_healthy(self):
        return bool(self.sha512)

    def wrong(self, task):
        """What is wrong with the end of its task, in a sentence; '' if nothing is."""
        status, message = task['status'], task['message']
        if self.cancel and message == CANCELLED:
            return ''
        if self.cancel is Cancel.PROMISED:
            return f'A cancelled task ended as {status}: {message}'
        if self.is_healthy and status == 'success':
            return ''
        if self.is_healthy and not self.deleted:
            return f'A healthy task failed: {message}'
        if status == 'success':
            return 'A task succeeded that had to fail.'
        said = 'was deleted while it was being imported' if self.deleted else self.said
        return '' if said in message else f'The message has to say "{said}": {message}'


class Sources:
    """Fills a SourceServer with pages, and draws what to ask for: chance is a random.Random."""

    def __init__(self, server, folder):
        self._server = server
        self._numbers = itertools.count(1)
        self._files = [_file(folder, SMALLEST * 2**number) for number in range(SIZES)]
        self._hashes = [_sha512(path) for path in self._files]
        for number, path in enumerate(self._files):
            server.pages[f'/plain/{number}'] = path
            server.pages[f'/moved/{number}'] = redirect(f'/plain/{number}')
            server.pages[f'/slow/{number}'] = Paced(path)
            server.pages[f'/chunked/{number}'] = lambda _request, path=path: Answer(
                _pieces(path), chunked=True
            )
        for name, (page, _said) in BAD.items():
            server.pages[f'/{name}'] = lambda _request, page=page: page()

    def healthy(self, chance, *, deleted=False):
        kind = 'slow' if deleted else chance.choices(list(HEALTHY), HEALTHY.values())[0]
        # Few are large: they are most of the work.
        number = min(chance.randrange(SIZES), chance.randrange(SIZES))
        if deleted or (kind == 'slow' and SMALLEST * 2**number > LARGEST_SLOW):
            number = SIZES - 3
        return self._import(
            kind,
            f'/{kind}/{number}',
            sha512=self._hashes[number],
            size=self._files[number].stat().st_size,
            deleted=deleted,
        )

    def bad(self, chance):
        kind = chance.choices(list(BAD), [RARE.get(name, 1) for name in BAD])[0]
        format_ = 'qcow2' if kind == 'disguised' else 'raw'
        return self._import(kind, f'/{kind}', format_, said=BAD[kind][1])

    def poison(self, chance):
        after = chance.choice([0, 0, 1, 3])
        return Wanted('poison', {'type': 'poison', 'input': {'after': after}}, said='signal 9')

    def _import(self, kind, path, format_='raw', **wanted):
        number = next(self._numbers)
        given = {
            'import_from': f'{self._server.url}{path}?{number}',  # tells two POSTs apart
            'import_from_format': format_,
            'image_properties': {'name': f'soak-{number}'},
        }
        return Wanted(kind, {'type': 'import', 'input': given}, **wanted)


class Paced:
    """A file that takes some seconds to send, from any byte on."""

    SECONDS = 8
    STEPS = 64

    def __init__(self, path):
        self._path = path

    def __call__(self, request):
        size = self._path.stat().st_size
        tag = f'"{self._path.name}"'
        asked = request.headers.get('range', '')
        begin = int(asked[len('bytes=') : -1]) if asked and asked.endswith('-') else 0
        headers = [('ETag', tag)]
        if begin:
            headers.append(('Content-Range', f'bytes {begin}-{size - 1}/{size}'))
        return Answer(
            self._pieces(begin, size), 206 if begin else 200, headers, announced=size - begin
        )

    def _pieces(self, begin, size):
        with self._path.open('rb') as file:
            file.seek(begin)
            while piece := file.read(max(1, size // self.STEPS)):
                yield piece
                time.sleep(self.SECONDS / self.STEPS)  # the pace of a network


def _pieces(path):
    with path.open('rb') as file:
        while piece := file.read(PIECE):
            yield piece


def _file(folder, size):
    path = folder / str(size)
    with path.open('wb') as file:
        file.write(os.urandom(min(size, 1024)))
        block = os.urandom(MIB)
        while (left := size - file.tell()) > 0:
            file.write(block[:left])
    return path


def _sha512(path):
    with path.open('rb') as file:
        return hashlib.file_digest(file, 'sha512').hexdigest()
