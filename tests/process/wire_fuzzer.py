"""Sends mutated requests over the wire of a glance-api, and checks what it answers.

    python -m tests.process.wire_fuzzer --requests 10000 --seed 11 http://127.0.0.1:9292

In each connection, bytes of a request are changed, removed, repeated or inserted;
the body of some is another request, GET /smuggled. h11, which accepts more than the
service does, says which requests are in the bytes. A run is good if

* no answer is 5xx, but for 501 and 505: unknown methods and versions;
* there is no answer to a request that h11 does not see, but for one refusal with
  which the connection ends;
* /smuggled is answered only where h11 sees it.

It ends with the counts, and with status 1 if something was wrong.
"""

import argparse
import collections
import contextlib
import random
import re
import socket
import sys
import urllib.parse

import h11

HOST = b'Host: 127.0.0.1\r\n'
SMUGGLED = b'GET /smuggled HTTP/1.1\r\n' + HOST + b'\r\n'
TASK = b'{"type": "import", "input": {"import_from": "x", "image_properties": {}}}'
IMAGE = b'/v2/images/11111111-1111-4111-8111-111111111111'
JSON = b'Content-Type: application/json\r\n'


def _chunked(data: bytes) -> bytes:
    return b'%x;a=b\r\n%b\r\n0\r\nX: y\r\n\r\n' % (len(data), data)


SEEDS = [
    *(
        b'%b %b HTTP/1.1\r\n%bAccept: */*\r\n\r\n' % (method, path, HOST)
        for method, path in (
            (b'GET', b'/'),
            (b'GET', b'/healthcheck'),
            (b'GET', b'/versions'),
            (b'GET', b'/v2/images?limit=2&sort=name:asc&name=a'),
            (b'GET', b'/v2/tasks?status=success&sort_dir=asc'),
            (b'GET', b'http://localhost/v2/images'),
            (b'GET', b'/v2/schemas/images'),
            (b'GET', IMAGE),
            (b'DELETE', IMAGE),
            (b'HEAD', IMAGE + b'/file'),
            (b'OPTIONS', b'*'),
        )
    ),
    b'GET %b/file HTTP/1.1\r\n%bRange: bytes=0-1\r\nIf-Range: "x"\r\n\r\n' % (IMAGE, HOST),
    b'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n',
    *(
        b'POST /v2/tasks HTTP/1.1\r\n%b%bContent-Length: %d\r\n\r\n%b'
        % (HOST, JSON, len(data), data)
        for data in (TASK, SMUGGLED)
    ),
    *(
        b'POST /v2/tasks HTTP/1.1\r\n%b%bTransfer-Encoding: chunked\r\n\r\n%b'
        % (HOST, JSON, _chunked(data))
        for data in (TASK, SMUGGLED)
    ),
    b'PATCH %b HTTP/1.1\r\n%bContent-Length: 2\r\n\r\n[]' % (IMAGE, HOST),
]
PIECES = [
    *(bytes([number]) for number in (0, 1, 9, 10, 11, 13, 32, 34, 44, 45, 58, 59, 127, 128, 255)),
    b'\r\n',
    b'\r\n\r\n',
    b'\n\n',
    b'\r\n ',
    b'Content-Length: 5\r\n',
    b'Content-Length : 0\r\n',
    b'Transfer-Encoding: chunked\r\n',
    b'Transfer-Encoding:\x0bchunked\r\n',
    b'X\r\n',
    b'0\r\n\r\n',
    b'%00',
    b'%ff',
    b'0x',
    b'+',
    b'_',
    b'http://a@b',
]
NOTHING = b'There is nothing at /smuggled'  # the service's words
STATUS = re.compile(rb'HTTP/1\.[01] ([0-9]{3}) ')


def mutated(chance: random.Random) -> bytes:
    data = bytearray(chance.choice(SEEDS))
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(5):
            case 0 if at < len(data):
                data[at] = chance.randrange(256)
            case 1:
                del data[at : at + chance.choice((1, 2, 20))]
            case 2:
                data[at:at] = data[at : at + chance.choice((1, 10, 60))]
            case _:
                data[at:at] = chance.choice(PIECES)
    return bytes(data)


def seen(data: bytes) -> list[bytes]:
    """The targets of the requests in these bytes. The last body may be incomplete."""
    # The service takes bytes above 0x7f in targets, which h11 does not.
    left = bytes(byte if byte < 0x80 else ord('x') for byte in data)
    targets = []
    while left := left.removeprefix(b'\r\n'):
        connection = h11.Connection(h11.SERVER)
        connection.receive_data(left)
        try:
            while not isinstance(event := connection.next_event(), h11.EndOfMessage):
                if event is h11.NEED_DATA:
                    return targets
                if isinstance(event, h11.Request):
                    targets.append(event.target)
        except h11.RemoteProtocolError:
            return targets
        left = connection.trailing_data[0]
    return targets


def answers(address: tuple[str, int], request: bytes) -> tuple[list[int], bool]:
    """The statuses of all answers, and whether one is about /smuggled."""
    received = b''
    with socket.create_connection(address) as client, contextlib.suppress(ConnectionError):
        client.settimeout(60)
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        while piece := client.recv(65536):
            received += piece
    statuses = [int(found[1]) for found in STATUS.finditer(received)]
    return [status for status in statuses if status != 100], NOTHING in received


def fault(request: bytes, statuses: list[int], smuggled: bool) -> str | None:
    """What is wrong with these answers."""
    if any(status >= 500 and status not in (501, 505) for status in statuses):
        return '5xx'
    targets = seen(request)
    if len(statuses) > len(targets) + 1:
        return 'an answer too many'
    if len(statuses) > len(targets) and statuses[-1] < 400:
        return 'success of a request that was not sent'
    if smuggled and not any(b'/smuggled' in target for target in targets):
        return 'smuggled'
    return None


def run(
    address: tuple[str, int], requests: int, seed: int
) -> tuple[collections.Counter[str], list[str]]:
    """The counts of statuses, and what was wrong."""
    chance = random.Random(seed)
    counts: collections.Counter[str] = collections.Counter()
    wrong = []
    for number in range(requests):
        request = mutated(chance)
        statuses, smuggled = answers(address, request)
        counts.update(map(str, statuses or ['no answer']))
        if found := fault(request, statuses, smuggled):
            wrong.append(f'{number}: {found}: {statuses} for {request!r}')
    return counts, wrong


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('url')
    parser.add_argument('--requests', type=int, default=10000)
    parser.add_argument('--seed', type=int, default=11)
    given = parser.parse_args(arguments)
    split = urllib.parse.urlsplit(given.url)
    counts, wrong = run((split.hostname, split.port), given.requests, given.seed)
    sys.stdout.write('\n'.join([*wrong, '']))
    shown = ', '.join(f'{status}: {count}' for status, count in sorted(counts.items()))
    sys.stdout.write(f'{shown}\n{given.requests} connections, {len(wrong)} wrong\n')
    return int(bool(wrong))


if __name__ == '__main__':
    sys.exit(main())
