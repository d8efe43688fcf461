"""The head of a request, read as RFC 9112 writes it and in no other way.

Two programs that read one request differently can be made to see two requests.
So whatever is not exactly a request line or a header is refused, and nothing is
repaired. h11 accepts more: control characters in values, folded lines, lines that
end in LF alone, and "5, 5" as a length.
"""

import collections.abc
import dataclasses
import email.message
import re

LONGEST_LINE = 8192  # bytes
LONGEST_HEAD = 65536  # bytes of all headers
MOST_HEADERS = 100

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
TEXT = rb'[\t\x20-\x7e\x80-\xff]*'

# Bytes above 0x7f do not belong into a target, but people type them into curl.
_REQUEST_LINE = re.compile(
    b'(%b) ' % TOKEN + rb'([\x21-\x7e\x80-\xff]+) (HTTP/([0-9])\.[0-9])\r\n'
)
FIELD = re.compile(b'(%b):(%b)\r\n' % (TOKEN, TEXT))
_ABSOLUTE = re.compile(r'https?://([^/?#]*)(.*)', re.I | re.S)
_AUTHORITY = re.compile(
    r"(\[[0-9a-f:.]+\]|([a-z0-9._~!$&'()*+,;=-]|%[0-9a-f]{2})+)(:[0-9]*)?", re.A | re.I
)
_LENGTH = re.compile('[0-9]{1,100}', re.A)


class Refused(Exception):
    """A head that is not answered by the application. The connection must be closed."""

    def __init__(self, sentence: str, status: str = '400 Bad Request') -> None:
        super().__init__(sentence)
        self.status = status


@dataclasses.dataclass
class Head:
    line: str
    method: str
    target: str
    version: str  # HTTP/1.0 or HTTP/1.1
    headers: email.message.Message
    closes: bool  # the client wants no other request on this connection


def read(readline: collections.abc.Callable[[int], bytes]) -> Head | None:
    """The next head, or None if the connection ends before it. Raises Refused."""
    line = readline(LONGEST_LINE)
    if line == b'\r\n':  # old clients send it after a body
        line = readline(LONGEST_LINE)
    if len(line) >= LONGEST_LINE:
        raise Refused('The request line is too long.', '414 URI Too Long')
    if not line.endswith(b'\n'):
        return None
    found = _REQUEST_LINE.fullmatch(line)
    if found is None:
        raise Refused('The request line is malformed.')
    if found[4] != b'1':
        raise Refused('Only HTTP/1.1 and HTTP/1.0 are spoken.', '505 HTTP Version Not Supported')
    headers = _headers(readline)
    if headers is None:
        return None
    version = 'HTTP/1.0' if found[3] == b'HTTP/1.0' else 'HTTP/1.1'
    _check_host(headers, version)
    _check_body(headers, version)
    if version == 'HTTP/1.0':
        del headers['Expect']  # such a client cannot know what 100 is
    method = found[1].decode()
    return Head(
        line=line[:-2].decode('latin-1'),
        method=method,
        target=_target(method, found[2].decode('latin-1'), headers),
        version=version,
        headers=headers,
        closes=_closes(headers, version),
    )


def _headers(readline: collections.abc.Callable[[int], bytes]) -> email.message.Message | None:
    headers = email.message.Message()
    size = 0
    while (line := readline(LONGEST_LINE)) != b'\r\n':
        size += len(line)
        if len(line) >= LONGEST_LINE or size > LONGEST_HEAD or len(headers) >= MOST_HEADERS:
            raise Refused(
                'The headers are too long or too many.', '431 Request Header Fields Too Large'
            )
        if not line.endswith(b'\n'):
            return None
        found = FIELD.fullmatch(line)
        if found is None:
            raise Refused('A line of the head is no header.')
        headers[found[1].decode()] = found[2].strip(b' \t').decode('latin-1')
    return headers


def _check_host(headers: email.message.Message, version: str) -> None:
    hosts = headers.get_all('Host') or []
    if len(hosts) > 1 or (not hosts and version != 'HTTP/1.0'):
        raise Refused('There must be one Host header.')
    if hosts and hosts[0] and not _AUTHORITY.fullmatch(hosts[0]):
        raise Refused('The Host header is malformed.')


def _check_body(headers: email.message.Message, version: str) -> None:
    """Raises Refused if it is not certain where the body ends."""
    lengths = headers.get_all('Content-Length') or []
    codings = headers.get_all('Transfer-Encoding') or []
    if codings:
        check_coding(codings, lengths)
        if version == 'HTTP/1.0':
            raise Refused('HTTP/1.0 has no Transfer-Encoding.')
    if len(lengths) > 1:
        raise Refused('There is more than one Content-Length.')
    if lengths and not _LENGTH.fullmatch(lengths[0]):
        raise Refused('The Content-Length is not a number.')


def check_coding(
    codings: collections.abc.Sequence[str], lengths: collections.abc.Sequence[str]
) -> None:
    """Check the values of Transfer-Encoding and of Content-Length. Raises Refused."""
    if [coding.lower() for coding in codings] != ['chunked']:
        raise Refused('Of transfer encodings only "chunked" is known.')
    if lengths:
        raise Refused('Content-Length and Transfer-Encoding exclude each other.')


def _target(method: str, target: str, headers: email.message.Message) -> str:
    """The path with its query. The authority of an absolute form becomes the Host header."""
    if target.startswith('/'):
        return f'/{target.lstrip("/")}'  # //host/path in a redirection leads to another host
    if (target == '*' and method == 'OPTIONS') or (
        method == 'CONNECT' and _AUTHORITY.fullmatch(target)
    ):
        return target
    authority, rest = split_absolute(target)
    del headers['Host']
    headers['Host'] = authority
    if not rest and method == 'OPTIONS':
        return '*'
    return f'/{rest.lstrip("/")}'


def split_absolute(target: str) -> tuple[str, str]:
    """The authority of a target in absolute form, and what follows it. Raises Refused."""
    found = _ABSOLUTE.fullmatch(target)
    if found is None or not _AUTHORITY.fullmatch(found[1]):
        raise Refused('The target of the request line is malformed.')
    return found[1], found[2]


def _closes(headers: email.message.Message, version: str) -> bool:
    options = {
        option.strip(' \t').lower()
        for line in headers.get_all('Connection') or []
        for option in line.split(',')
    }
    return 'close' in options or (version == 'HTTP/1.0' and 'keep-alive' not in options)
