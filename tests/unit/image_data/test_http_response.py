"""What is a response of HTTP, and what is none.

h11 reads the same heads: nothing passes here that it refuses, except what is named.
"""

import io
import random

import h11
import pytest

from glance.image_data.http_response import (
    MAX_HEADER_LINES,
    MAX_LINE,
    Body,
    ChunkedBody,
    MalformedResponse,
    Response,
)

OK = b'HTTP/1.1 200 OK\r\n'


def read(data):
    return Response(io.BufferedReader(io.BytesIO(data)))


def headers(*lines):
    return read(OK + b'\r\n'.join([*lines, b'', b''])).headers


def h11_refuses(head):
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=10**6)
    connection.send(h11.Request(method='GET', target='/', headers=[('Host', 'a')]))
    connection.receive_data(head)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return True
    assert isinstance(event, h11.Response)
    return False


BAD_LINES = {
    'space in the name': b'X A: 1',
    'space before the colon': b'X : 1',
    'tab before the colon': b'X\t: 1',
    'no colon': b'X',
    'no name': b': 1',
    'nothing but a colon': b':',
    'NUL in the name': b'X\x00: 1',
    'NUL in the value': b'X: a\x00b',
    'bell in the name': b'X\x07: 1',
    'CR in the value': b'X: a\rContent-Length: 3',
    'CR in the name': b'X\rY: 1',
    'CR before the end': b'X: 1\r',
    'vertical tab': b'X: a\x0bb',
    'form feed': b'X: a\x0cb',
    'byte above 0x80 in the name': b'\xc3\xa4: 1',
    'no-break space before the colon': b'X\xa0: 1',
    'brackets in the name': b'X[1]: 1',
    'quotes in the name': b'"X": 1',
    'comma in the name': b'X,Y: 1',
    'slash in the name': b'X/Y: 1',
    'a second status line': b'HTTP/1.1 200 OK',
}
# h11 lets these pass.
BAD_CONTROLS = {
    'control character in the value': b'X: a\x01b',
    'escape': b'X: \x1b[2J',
    'delete': b'X: a\x7fb',
    'control character alone': b'X: \x1f',
}


@pytest.mark.parametrize('row', BAD_LINES)
def test_a_malformed_header_line_is_refused_wherever_it_is(row):
    line = BAD_LINES[row] + b'\r\n'
    for head in (line + b'Content-Length: 9\r\n\r\n', b'Content-Length: 9\r\n' + line + b'\r\n'):
        with pytest.raises(MalformedResponse):
            read(OK + head)
        assert h11_refuses(OK + head)


@pytest.mark.parametrize('row', BAD_CONTROLS)
def test_no_header_line_has_a_control_character(row):
    with pytest.raises(MalformedResponse, match='control character'):
        headers(BAD_CONTROLS[row])


def test_the_first_line_cannot_be_a_folded_one():
    for line in (b' X: 1', b'\tX: 1', b' '):
        with pytest.raises(MalformedResponse):
            headers(line, b'Y: 1')


@pytest.mark.parametrize(
    ('lines', 'value'),
    [
        ([b'X: a'], 'a'),
        ([b'X:a'], 'a'),
        ([b'X:'], ''),
        ([b'X: \t a \t '], 'a'),
        ([b'x: a\tb'], 'a\tb'),
        ([b'X: \xc3\xa4\xff\x80'], '\xc3\xa4\xff\x80'),
        ([b'X: \xa0a\x85'], '\xa0a\x85'),
        ([b'X: a: b'], 'a: b'),
        ([b'X: a', b' b', b'\tc'], 'a b c'),
        ([b'X:', b' a'], 'a'),
        ([b'X: a', b' ', b' b'], 'a  b'),
        ([b'X: a', b'X: b'], 'a'),
    ],
)
def test_a_well_formed_header_line_is_read(lines, value):
    found = headers(b'A: 1', *lines, b'Z: 2')
    assert found.get('x') == value
    assert (found.get('a'), found.get('z')) == ('1', '2')


def test_lines_may_end_in_lf_alone():
    response = read(b'HTTP/1.1 200 OK\nX: a\n b\r\nY: c\n\n')
    assert (response.status, response.headers.get('x')) == (200, 'a b')
    assert response.headers.get('y') == 'c'


def test_all_values_of_a_name_are_kept_in_order():
    found = headers(b'X: 1', b'Y: 2', b'x: 3')
    assert found.all('x') == ['1', '3']
    assert found.all('z') == []
    assert found.get('z', 'none') == 'none'


@pytest.mark.parametrize(
    'line',
    [
        b'HTTP/0.9 200 OK',
        b'HTTP/2.0 200 OK',
        b'HTTP/1.1 20 OK',
        b'HTTP/1.1 2000 OK',
        b'HTTP/1.1 099 OK',
        b'HTTP/1.1 -20 OK',
        b'HTTP/1.1  200 OK',
        b'HTTP/1.1 200\tOK',
        b'HTTP/1.1 200OK',
        b'HTTP/1.1',
        b'HTTP/1.10 200 OK',
        b'http/1.1 200 OK',
        b' HTTP/1.1 200 OK',
        b'ICY 200 OK',
        b'SSH-2.0-OpenSSH',
        b'HTTP/1.1 200 a\x00b',
        b'HTTP/1.1 200 a\rX: y',
        b'HTTP/1.1 \xb2\xb3\xb9 OK',
        b'',
        b'<html>',
    ],
)
def test_what_is_no_status_line_is_refused(line):
    with pytest.raises(MalformedResponse):
        read(line + b'\r\nContent-Length: 4\r\n\r\nbits')


@pytest.mark.parametrize(
    'line', [b'HTTP/1.0 200 OK', b'HTTP/1.1 200', b'HTTP/1.1 200 ', b'HTTP/1.1 200 G\xfct\tso']
)
def test_a_status_line_may_have_any_reason_or_none(line):
    assert read(line + b'\r\n\r\n').status == 200


def test_interim_responses_are_skipped():
    response = read(
        b'HTTP/1.1 100 Continue\r\n\r\n'
        b'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 3\r\n\r\n'
        b'HTTP/1.1 199 Odd\r\n\r\n' + OK + b'X: y\r\n\r\n'
    )
    assert (response.status, response.headers.get('x')) == (200, 'y')
    assert response.headers.all('content-length') == []


def test_an_interim_response_must_be_well_formed():
    with pytest.raises(MalformedResponse):
        read(b'HTTP/1.1 103 Early Hints\r\nX A: 1\r\n\r\n' + OK + b'\r\n')


def test_a_change_of_protocol_is_a_final_response():
    assert read(b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n' + OK).status == 101


@pytest.mark.parametrize('end', range(len(OK) + 8))
def test_a_head_that_is_cut_off_is_no_head(end):
    head = OK + b'X: y\r\n\r\n'
    with pytest.raises(EOFError):
        read(head[:end])


def test_a_head_is_limited():
    lines = [b'X: y'] * MAX_HEADER_LINES
    assert len(headers(*lines).all('x')) == MAX_HEADER_LINES
    for too_much in ([*lines, b'X: y'], [*lines, b' y']):
        with pytest.raises(MalformedResponse, match='more than 100 header lines'):
            headers(*too_much)
    longest = b'X: ' + b'y' * (MAX_LINE - 5)
    assert len(headers(longest).get('x')) == MAX_LINE - 5
    with pytest.raises(MalformedResponse, match='too long'):
        headers(longest + b'y')


# bodies


def chunked(data):
    body = ChunkedBody(io.BufferedReader(io.BytesIO(data)))
    return b''.join(iter(lambda: body.read1(65536), b''))


@pytest.mark.parametrize(
    'data',
    [
        b'4\r\nbits\r\n0\r\n\r\n',
        b'2\r\nbi\r\n2\r\nts\r\n0\r\n\r\n',
        b'4\nbits\n0\n\n',
        b'0004\r\nbits\r\n000\r\n\r\n',
        b'4  \r\nbits\r\n0\r\n\r\n',
        b'4;a=b;c="d;\t\xff"\r\nbits\r\n0;e\r\n\r\n',
        b'4 ;a\r\nbits\r\n0\r\nX: y\r\n z\r\n\r\n',
    ],
)
def test_chunks_are_put_together(data):
    assert chunked(data) == b'bits'


def test_a_size_is_read_in_either_case():
    for size in (b'a', b'A'):
        assert chunked(size + b'\r\n0123456789\r\n0\r\n\r\n') == b'0123456789'


@pytest.mark.parametrize(
    'size',
    [
        *(
            b'-5',
            b'+5',
            b'0x5',
            b'0X5',
            b'1_0',
            b' 5',
            b'\t5',
            b'5 5',
            b'',
            b';a',
            b'g',
            b'5,',
            b'5.0',
        ),
        *(b'\xb2', b'5\x00', b'5\r', b'5\x0b', b'5;a\x00', b'5;\r', b'f' * 16, b'0' * 16 + b'5'),
        b'5;' + b'y' * MAX_LINE,
    ],
)
def test_what_is_no_size_of_a_chunk_is_refused(size):
    with pytest.raises(MalformedResponse):
        chunked(size + b'\r\nabcde\r\n0\r\n\r\n')


@pytest.mark.parametrize('end', [b'x\r\n', b'xx', b'\rx', b'0\r\n\r\n'])
def test_a_chunk_must_end_where_its_size_says(end):
    with pytest.raises(MalformedResponse, match='longer than its size'):
        chunked(b'4\r\nbits' + end)


@pytest.mark.parametrize('line', [*BAD_LINES.values(), *BAD_CONTROLS.values(), b' X: y'])
def test_a_malformed_trailer_is_refused(line):
    with pytest.raises(MalformedResponse):
        chunked(b'4\r\nbits\r\n0\r\n' + line + b'\r\n\r\n')


def test_chunks_that_are_cut_off_are_no_body():
    data = b'4;a\r\nbits\r\n0\r\nX: y\r\n\r\n'
    for end in range(len(data)):
        with pytest.raises(EOFError):
            chunked(data[:end])


def test_the_bytes_of_a_chunk_do_not_wait_for_its_end():
    body = ChunkedBody(io.BufferedReader(io.BytesIO(b'4\r\nbits')))
    assert body.read1(9) == b'bits'
    with pytest.raises(EOFError):
        body.read1(9)


def test_the_end_of_a_chunked_body_is_found_once():
    body = ChunkedBody(io.BufferedReader(io.BytesIO(b'1\r\nx\r\n0\r\n\r\n1\r\ny\r\n')))
    assert [body.read1(9) for _ in range(3)] == [b'x', b'', b'']


def test_a_body_ends_with_its_length_or_the_connection():
    for length, whole in ((4, b'bits'), (None, b'bits and more'), (99, b'bits and more')):
        body = Body(io.BufferedReader(io.BytesIO(b'bits and more')), length)
        assert b''.join(iter(lambda body=body: body.read1(3), b'')) == whole


# anything


def test_nothing_passes_that_another_reader_refuses():
    """Heads of which some bytes were changed, put in, or taken out."""
    dice = random.Random(11)
    seed = OK + b'Content-Length: 4\r\nX-A: b c\r\n d\r\nETag: "x"\nVia: \xe4\r\n\r\n'
    odd = [
        b'\r',
        b'\n',
        b'\r\n',
        b' ',
        b'\t',
        b':',
        b'\x00',
        b'\x0b',
        b'\x85',
        b'\xa0',
        b'(',
        b'1',
    ]
    refused = 0
    for _ in range(3000):
        head = bytearray(seed)
        for _ in range(dice.randint(1, 3)):
            at = dice.randrange(len(head) - 4)
            head[at : at + dice.randint(0, 2)] = dice.choice(odd)
        try:
            response = read(bytes(head))
        except (MalformedResponse, EOFError):
            refused += 1
            continue
        if ','.join(response.headers.all('content-length')).isdigit():
            assert not h11_refuses(bytes(head)), bytes(head)
    assert 1000 < refused < 3000
