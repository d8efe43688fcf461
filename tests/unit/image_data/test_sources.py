import contextlib
import datetime
import ipaddress
import pathlib
import shutil
import socket
import ssl
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from glance import interrupts, threads
from glance.domain import errors
from glance.domain.fetch_limits import FetchLimits
from glance.domain.import_filter import ImportFilter
from glance.domain.lease import HandBack
from glance.image_data import sources
from glance.testing.source_server import Answer, Raw, Silence, SourceServer, redirect


class Names:
    def __init__(self, known=()):
        self.known = dict(known)

    def addresses(self, host, port):
        return self.known.get(host, [])


@pytest.fixture
def web():
    with SourceServer() as server:
        yield server


def opened(
    url,
    web,
    *,
    names=(),
    hosts=('127.0.0.1',),
    ports=None,
    on_wait=None,
    accept_encoded=False,
    **options,
):
    allowed = ImportFilter(allowed_hosts=hosts, allowed_ports=ports or [web.port])
    limits = FetchLimits(**{'connect_timeout': 5, 'read_timeout': 5, 'size_cap': 1000} | options)
    return sources.open(
        url, allowed, Names(names), limits, on_wait=on_wait, accept_encoded=accept_encoded
    )


def body_of(source):
    with source:
        return b''.join(iter(lambda: source.read(65536), b''))


def failure(kind, web, path='/a', **options):
    with pytest.raises(kind) as caught:
        body_of(opened(web.url + path, web, **options))
    return str(caught.value)


def test_a_file_is_read_to_its_end(web):
    web.pages['/a'] = b'bits'
    with opened(web.url + '/a?x=%20y&z=\u00fc', web) as source:
        assert source.size == 4
        assert source.validator.startswith('"')
        assert source.name == web.url + '/a?x=***&z=***'
        assert source.read(3) == b'bit'
        assert source.read(3) == b's'
        assert source.read(3) == b''
        assert source.read(3) == b''
    assert web.requests[0].path == '/a?x=%20y&z=%C3%BC'


def test_the_request_asks_for_the_plain_file_and_gives_nothing_away(web, monkeypatch):
    monkeypatch.setenv('http_proxy', 'http://127.0.0.1:1')
    monkeypatch.setenv('no_proxy', '')
    web.pages['/a'] = b'bits'
    body_of(opened(web.url + '/a', web))
    assert web.requests[0].method == 'GET'
    assert web.requests[0].headers == {
        'host': f'127.0.0.1:{web.port}',
        'accept': '*/*',
        'accept-encoding': 'identity',
        'connection': 'close',
        'user-agent': 'glance',
    }


def test_a_body_without_a_length_ends_with_the_connection(web):
    web.pages['/a'] = Answer([b'bi', b'ts'], headers=[('ETag', '"yesterday"')])
    with opened(web.url + '/a', web) as source:
        assert (source.size, source.validator) == (None, '"yesterday"')
        assert body_of(source) == b'bits'


def test_a_body_in_chunks_is_put_together(web):
    web.pages['/a'] = Answer([b'bi', b'ts'], chunked=True)
    assert body_of(opened(web.url + '/a', web)) == b'bits'


def test_the_name_is_kept_and_the_checked_address_is_connected_to(web):
    web.pages['/a'] = b'bits'
    url = f'http://images.example:{web.port}/a'
    source = opened(url, web, hosts=['images.example'], names={'images.example': ['127.0.0.1']})
    assert body_of(source) == b'bits'
    assert web.requests[0].headers['host'] == f'images.example:{web.port}'


def test_the_next_address_is_tried_when_one_refuses(web):
    web.pages['/a'] = b'bits'
    source = opened(
        f'http://images.example:{web.port}/a',
        web,
        hosts=['images.example'],
        names={'images.example': ['::1', '127.0.0.1']},
    )
    assert body_of(source) == b'bits'


def test_a_refused_address_sees_no_connection(web):
    failing = {'hosts': [], 'names': {'images.example': ['8.8.8.8', '127.0.0.1']}}
    with pytest.raises(errors.SourceRefused, match='not public'):
        opened(f'http://images.example:{web.port}/a', web, **failing)
    assert 'does not pass filtering' in failure(errors.SourceRefused, web, ports=[1])
    assert web.requests == []


@pytest.mark.parametrize(
    ('status', 'said'),
    [
        (404, 'answered 404 Not Found.'),
        (500, 'answered 500 Internal Server Error.'),
        (206, 'answered 206 Partial Content.'),
        (204, 'answered 204 No Content.'),
        (302, 'answered 302 Found.'),
        (799, 'answered 799.'),
    ],
)
def test_only_a_plain_200_is_a_file(web, status, said):
    web.pages['/a'] = Answer(b'bits', status=status)
    assert failure(errors.SourceBadResponse, web) == f'{web.url}/a {said}'


def test_a_refused_connection_is_one_sentence():
    with SourceServer() as gone:
        pass
    assert failure(errors.SourceUnreachable, gone, '/a?key=secret') == (
        f'{gone.url}/a?key=*** cannot be reached: the connection was refused.'
    )


def test_a_body_shorter_than_announced_is_told_with_both_sizes(web):
    web.pages['/a'] = Answer(b'bits', announced=10)
    assert failure(errors.SizeMismatch, web) == 'The source announced 10 bytes but sent 4.'


def test_what_comes_after_the_announced_length_is_not_read(web):
    web.pages['/a'] = Answer(b'bits and more', announced=4)
    assert body_of(opened(web.url + '/a', web)) == b'bits'


@pytest.mark.parametrize(
    'body',
    [
        Answer(b'b' * 1001),
        Answer([b'b' * 1001], chunked=True),
        Answer([b'b' * 500, b'b' * 501]),
        Answer(b'', announced=10**15),
    ],
)
def test_more_than_the_cap_is_refused_announced_or_not(web, body):
    web.pages['/a'] = body
    assert failure(errors.SourceTooLarge, web) == (
        'The source is larger than image_size_cap allows (1000 bytes).'
    )


@pytest.mark.parametrize(
    'body', [b'', Answer([b'']), Answer([], chunked=True), Answer(b'bits', announced=0)]
)
def test_an_empty_body_is_refused(web, body):
    web.pages['/a'] = body
    assert 'an empty body' in failure(errors.SourceEmpty, web)


@pytest.mark.parametrize(
    ('headers', 'announced', 'fact'),
    [
        ([], 'four', 'not a number of bytes'),
        ([], '-4', 'not a number of bytes'),
        ([], '+4', 'not a number of bytes'),
        ([], '4_0', 'not a number of bytes'),
        ([], '9' * 30, 'not a number of bytes'),
        ([], '4, 4', 'more than one Content-Length'),
        ([('Content-Length', '4')], 4, 'more than one Content-Length'),
        ([('Content-Length', '5')], 4, 'more than one Content-Length'),
        ([('Transfer-Encoding', 'chunked')], 4, 'contradict each other'),
        ([('Transfer-Encoding', 'gzip')], False, 'a transfer encoding'),
        ([('Transfer-Encoding', '')], 4, 'a transfer encoding'),
        ([('Content-Range', 'bytes 0-3/9')], 4, 'with a part of the file'),
        ([('Content-Range', 'bytes 0-3/4')], 4, 'with a part of the file'),
        ([('Content-Range', '')], 4, 'with a part of the file'),
        ([('Content-Type', 'Multipart/ByteRanges; boundary=x')], 4, 'with a part of the file'),
        ([('Content-Encoding', 'gzip')], None, 'an encoded file'),
        ([('Content-Encoding', 'identity'), ('Content-Encoding', 'br')], None, 'an encoded file'),
    ],
)
def test_heads_that_cannot_be_trusted_are_refused(web, headers, announced, fact):
    web.pages['/a'] = Answer(b'bits', headers=headers, announced=announced)
    sentence = failure(errors.SourceBadResponse, web)
    assert sentence.startswith(f'{web.url}/a answered 200 ')
    assert fact in sentence


@pytest.mark.parametrize(
    ('data', 'said'),
    [
        (b'', 'broke the connection before it answered'),
        (b'SSH-2.0-OpenSSH\r\n', 'broke the rules of HTTP'),
        (b'HTTP/1.1 200 OK\r\n' + b'X: y\r\n' * 200 + b'\r\n', 'broke the rules of HTTP'),
        (b'HTTP/1.1 200 OK\r\nX: ' + b'y' * 70000 + b'\r\n\r\n', 'broke the rules of HTTP'),
        (b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nbits', 'after 0 bytes'),
        (b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nbits', 'after 4 bytes'),
    ],
)
def test_what_is_not_http_is_one_sentence(web, data, said):
    web.pages['/a'] = Raw(data)
    sentence = failure(errors.SourceUnreachable, web)
    assert sentence.startswith(f'{web.url}/a ')
    assert said in sentence


@pytest.mark.parametrize('length', [10, False])
def test_a_reset_is_no_end(web, length):
    sent = threading.Event()

    def pieces():
        yield b'bits'
        sent.wait(10)

    web.pages['/a'] = Answer(pieces(), announced=length, reset=True)
    with opened(web.url + '/a', web) as source:
        assert source.read(10) == b'bits'
        sent.set()
        with pytest.raises(errors.SourceUnreachable, match='broke the connection after 4 bytes'):
            source.read(10)


def test_a_silent_source_is_given_up(web):
    web.pages['/a'] = Silence()
    assert 'was silent for too long before it answered' in failure(
        errors.SourceUnreachable, web, read_timeout=0.05
    )


def test_a_source_that_falls_silent_is_given_up(web):
    def pieces():
        yield b'bits'
        threading.Event().wait(10)

    web.pages['/a'] = Answer(pieces(), announced=10)
    assert 'was silent for too long after 4 bytes' in failure(
        errors.SourceUnreachable, web, read_timeout=1
    )


def test_who_waits_for_a_silent_source_is_asked_whether_to_go_on(web):
    web.pages['/a'] = Silence()
    asked = []

    def on_wait():
        asked.append(1)
        if len(asked) == 3:
            raise HandBack

    with pytest.raises(HandBack):
        opened(web.url + '/a', web, on_wait=on_wait, tick=0.01)


def test_who_waits_for_a_silent_source_is_interrupted_at_once(web):
    """Its own look, whether to go on, comes only after the longest wait of a test."""
    web.pages['/a'] = Silence()
    fetching, raised = [], []

    def fetch():
        with interrupts.allowed():
            fetching.append(threads.current())
            try:
                opened(web.url + '/a', web, read_timeout=1200, tick=600)
            except HandBack as error:
                raised.append(error)

    thread = threading.Thread(target=fetch)
    thread.start()
    pause = threading.Event()
    while not web.requests:
        pause.wait(0.01)
    stop = HandBack()
    interrupts.interrupt(fetching[0], stop)
    thread.join(10)
    assert raised == [stop]


def test_a_wait_that_ends_goes_on_where_it_was(web):
    goes_on = threading.Event()

    def pieces():
        yield b'bi'
        goes_on.wait(10)
        yield b'ts'

    web.pages['/a'] = Answer(pieces(), announced=4)
    assert body_of(opened(web.url + '/a', web, on_wait=goes_on.set, tick=0.01)) == b'bits'


def test_a_redirect_is_followed(web):
    web.pages['/a'] = redirect('/b?x=1')
    web.pages['/b'] = b'bits'
    with opened(web.url + '/a', web) as source:
        assert source.name == web.url + '/b?x=***'
        assert body_of(source) == b'bits'


@pytest.mark.parametrize(
    'to',
    [
        'file:///etc/passwd',
        'ftp://127.0.0.1/a',
        'http://10.0.0.1/a',
        'http://localhost/a',
        'http://0x7f.1/a',
        '//[::1]/a',
        'http://127.0.0.1:1/a',
    ],
)
def test_a_redirect_passes_the_filter_too(web, to):
    web.pages['/a'] = redirect(to)
    sentence = failure(errors.SourceRefused, web)
    assert 'does not pass filtering' in sentence
    assert to in sentence


def test_a_redirect_to_a_private_address_is_refused(web):
    web.pages['/a'] = redirect(f'http://inside.example:{web.port}/b')
    with pytest.raises(errors.SourceRefused, match='is not allowed'):
        opened(web.url + '/a', web, names={'inside.example': ['127.0.0.1']})
    assert len(web.requests) == 1


def test_redirects_end(web):
    web.pages['/a'] = redirect('/a')
    assert 'redirected more than 5 times' in failure(errors.SourceBadResponse, web)
    assert len(web.requests) == 6


def test_a_redirect_may_hold_what_is_not_ascii(web):
    web.pages['/a'] = Answer(status=302, headers=[('Location', '/\u00e4 b')])
    web.pages['/%E4%20b'] = b'bits'
    assert body_of(opened(web.url + '/a', web)) == b'bits'


def test_user_and_password_go_to_the_named_host_only(web):
    web.pages['/a'] = redirect('/b')
    web.pages['/b'] = b'bits'
    url = f'http://me:secret@127.0.0.1:{web.port}/a'
    with opened(url, web) as source:
        assert 'secret' not in source.name
    assert web.requests[0].headers['authorization'] == 'Basic bWU6c2VjcmV0'
    assert 'authorization' not in web.requests[1].headers


def test_errors_and_logs_do_not_show_secrets(web, caplog):
    caplog.set_level('DEBUG')
    web.pages['/a'] = Raw(b'HTTP/1.1 404 Gone\r\nbad header\r\n\r\n')
    with pytest.raises(errors.SourceUnreachable, match='rules of HTTP') as caught:
        opened(f'http://me:secret@127.0.0.1:{web.port}/a?key=secret', web)
    assert 'secret' not in str(caught.value) + caplog.text
    assert caught.value.__cause__ is None


def test_nothing_stays_open_after_a_failure(web):
    closed = threading.Event()

    def page(request):
        return Answer(until_closed())

    def until_closed():
        with contextlib.suppress(GeneratorExit):
            while True:
                yield b'b' * 65536
        closed.set()

    web.pages['/a'] = page
    failure(errors.SourceTooLarge, web)
    assert closed.wait(10)


def test_a_name_with_many_dead_addresses_is_given_up_in_time():
    """They share the time; without that, each of them would have all of it."""
    with socket.socket() as full, contextlib.ExitStack() as fillers:
        full.bind(('127.0.0.1', 0))
        full.listen(0)
        port = full.getsockname()[1]
        for _ in range(2):
            filler = fillers.enter_context(socket.socket())
            filler.settimeout(0.05)
            with contextlib.suppress(OSError):
                filler.connect(('127.0.0.1', port))
        began = time.monotonic()
        with pytest.raises(errors.SourceUnreachable, match='silent for too long'):
            sources.open(
                f'http://many.example:{port}/',
                ImportFilter(allowed_hosts=['many.example'], allowed_ports=[port]),
                Names({'many.example': ['127.0.0.1'] * 100}),
                FetchLimits(connect_timeout=0.3, read_timeout=1, size_cap=1),
            )
        assert time.monotonic() - began < 15  # 100 times 0.3 without it


# through a proxy


class ProxyPage:
    """What a proxy does with a plain request: notes it, and answers as the source would."""

    def __init__(self):
        self.asked = []

    def __call__(self, request):
        self.asked.append((request.path, request.headers))
        return Answer(b'bits')


@pytest.fixture
def proxied(web):
    """proxied(url, **options): a source that is opened through web."""

    def opened_through(url, *, login='', **options):
        return opened(
            url,
            web,
            hosts=['images.example'],
            names={'images.example': ['192.0.2.1'], 'proxy.example': ['::1', '127.0.0.1']},
            proxy=f'http://{login}proxy.example:{web.port}',
            ports=[80, 443],
            **options,
        )

    return opened_through


def test_a_proxy_is_asked_for_the_whole_address(web, proxied):
    page = web.pages['http://images.example:80/a'] = ProxyPage()
    with proxied('http://images.example/a?x=1', login='me:s%40cret@') as source:
        assert body_of(source) == b'bits'
    [(path, headers)] = page.asked
    assert path == 'http://images.example:80/a?x=1'
    assert headers['host'] == 'images.example:80'
    assert headers['proxy-authorization'] == 'Basic bWU6c0BjcmV0'


def test_a_name_is_checked_before_a_proxy_is_asked(web):
    with pytest.raises(errors.SourceRefused, match='not public'):
        opened(
            'http://inside.example/a',
            web,
            hosts=[],
            names={'inside.example': ['10.0.0.1'], '127.0.0.1': ['127.0.0.1']},
            proxy=web.url,
            ports=[80],
        )
    assert web.accepted == 0


@pytest.mark.parametrize(
    ('answer', 'said'),
    [
        (b'HTTP/1.1 403 Forbidden\r\n\r\n', 'cannot be reached: the proxy answered 403.'),
        (b'SSH-2.0-x\r\n', 'broke the rules of HTTP'),
        (b'', 'broke the connection before it agreed to a secure connection.'),
    ],
)
def test_a_proxy_that_does_not_lead_on_is_one_sentence(web, proxied, answer, said):
    web.pages['images.example:443'] = Raw(answer)
    with pytest.raises(errors.SourceUnreachable) as caught:
        proxied('https://images.example/a?key=secret')
    assert said in str(caught.value)
    assert 'secret' not in str(caught.value)
    assert web.requests[0].method == 'CONNECT'


def test_a_proxy_that_is_not_there_is_named():
    with SourceServer() as gone:
        pass
    with pytest.raises(errors.SourceUnreachable) as caught:
        opened(
            'http://127.0.0.1/a',
            gone,
            ports=[80],
            proxy=gone.url,
            names={'127.0.0.1': ['127.0.0.1']},
        )
    assert str(caught.value) == (
        'http://127.0.0.1/a cannot be reached: the proxy does not accept a connection.'
    )
    with pytest.raises(errors.SourceUnreachable, match='The proxy cannot be resolved'):
        opened('http://127.0.0.1/a', gone, ports=[80], proxy='http://nowhere.example')


# https


def made_certificate(folder):
    """A certificate of images.example and 127.0.0.1, its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, 'images.example')])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName('images.example'), x509.IPAddress(ipaddress.ip_address('127.0.0.1'))]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(True, *[False] * 4, True, *[False] * 3), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .sign(key, hashes.SHA256())
    )
    path = folder / 'both.pem'
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return str(path)


@pytest.fixture(scope='module')
def certificate(tmp_path_factory):
    return made_certificate(tmp_path_factory.mktemp('tls'))


@pytest.fixture
def secure_web(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with SourceServer(tls=context) as server:
        yield server


@pytest.mark.parametrize('host', ['127.0.0.1', 'images.example'])
def test_https_is_read_when_the_certificate_is_trusted(secure_web, certificate, host):
    secure_web.pages['/a'] = Answer([b'b' * 100000] * 10)
    source = opened(
        f'https://{host}:{secure_web.port}/a',
        secure_web,
        hosts=[host],
        ca_file=certificate,
        names={'images.example': ['127.0.0.1']},
        size_cap=10**7,
    )
    assert len(body_of(source)) == 10**6


def test_https_goes_through_a_proxy_without_it_reading_along(secure_web, certificate, web):
    secure_web.pages['/a'] = b'b' * 1000
    address = ('127.0.0.1', secure_web.port)

    def lead_on():
        listener.settimeout(10)
        client, _place = listener.accept()
        head = b''
        while b'\r\n\r\n' not in head:
            head += client.recv(1024)
        asked.append(head.partition(b'\r\n')[0])
        inner = socket.create_connection(address)
        client.sendall(b'HTTP/1.1 200 Connection established\r\nVia: us\r\n\r\n')
        back = threading.Thread(target=pump, args=(inner, client))
        back.start()
        pump(client, inner)
        back.join()
        inner.close()
        client.close()

    def pump(from_, to):
        with contextlib.suppress(OSError):
            while piece := from_.recv(65536):
                passed.append(piece)
                to.sendall(piece)
            to.shutdown(socket.SHUT_WR)

    asked, passed = [], []
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        listener.listen(1)
        leading = threading.Thread(target=lead_on)
        leading.start()
        port = listener.getsockname()[1]
        source = opened(
            f'https://images.example:{secure_web.port}/a',
            secure_web,
            hosts=['images.example'],
            names={'images.example': ['192.0.2.1'], '127.0.0.1': ['127.0.0.1']},
            proxy=f'http://127.0.0.1:{port}',
            ca_file=certificate,
        )
        assert body_of(source) == b'b' * 1000
        leading.join(10)
    assert asked == [f'CONNECT images.example:{secure_web.port} HTTP/1.1'.encode()]
    assert b'b' * 100 not in b''.join(passed)


def test_a_certificate_of_another_name_is_refused(secure_web, certificate):
    with pytest.raises(
        errors.SourceUnreachable, match=r'is not trusted: .*[Hh]ostname mismatch'
    ) as caught:
        opened(
            f'https://other.example:{secure_web.port}/a',
            secure_web,
            ca_file=certificate,
            hosts=['other.example'],
            names={'other.example': ['127.0.0.1']},
        )
    assert caught.value.lasting
    assert secure_web.requests == []


def test_a_self_signed_certificate_is_refused(secure_web):
    assert 'is not trusted: self' in failure(errors.SourceUnreachable, secure_web)


def test_changed_certificates_are_used_from_then_on(secure_web, certificate, tmp_path, caplog):
    """Without a reload. What cannot be loaded does not take their place."""
    secure_web.pages['/a'] = b'bits'
    other = pathlib.Path(made_certificate(tmp_path)).read_bytes()
    ca_file = tmp_path / 'ca.pem'

    def is_trusted():
        try:
            body_of(opened(secure_web.url + '/a', secure_web, ca_file=str(ca_file)))
        except errors.SourceUnreachable as error:
            return 'is not trusted' not in str(error)
        return True

    ca_file.write_bytes(other)
    assert not is_trusted()
    shutil.copy(certificate, ca_file)  # in place
    assert is_trusted()
    ca_file.write_bytes(b'half a certificate')
    assert is_trusted()
    assert is_trusted()
    assert caplog.text.count('cannot be loaded, so the former ones stay in use') == 1
    (tmp_path / 'new').write_bytes(other)
    (tmp_path / 'new').replace(ca_file)  # another file of that name
    assert not is_trusted()
    ca_file.unlink()
    assert not is_trusted()


def test_https_on_a_plain_port_is_one_sentence(web):
    with pytest.raises(errors.SourceUnreachable, match='agreed') as caught:
        opened(f'https://127.0.0.1:{web.port}/a', web)
    assert not caught.value.lasting  # the server may be about to start


def test_a_source_that_never_accepts_is_given_up():
    with socket.socket() as full:
        full.bind(('127.0.0.1', 0))
        full.listen(0)
        port = full.getsockname()[1]
        with contextlib.ExitStack() as fillers:
            for _ in range(2):
                filler = fillers.enter_context(socket.socket())
                filler.settimeout(0.05)
                with contextlib.suppress(OSError):
                    filler.connect(('127.0.0.1', port))
            with pytest.raises(
                errors.SourceUnreachable, match='silent for too long before it agreed'
            ):
                sources.open(
                    f'http://127.0.0.1:{port}/',
                    ImportFilter(allowed_hosts=['127.0.0.1'], allowed_ports=[port]),
                    Names(),
                    FetchLimits(connect_timeout=0.05, read_timeout=1, size_cap=1),
                )


# heads of sources and proxies


CUT_SHORT = b'Content-Length: 100\r\nConnection: close\r\n\r\nabc'


@pytest.mark.parametrize(
    'line', [b'X A: 1', b'X : 1', b'no colon', b'X: a\x01b', b'X: a\rb', b'X\x00: 1', b': 1']
)
@pytest.mark.parametrize(
    'behind',
    [CUT_SHORT, b'Transfer-Encoding: chunked\r\n\r\n9\r\nabc', b'Content-Encoding: br\r\n\r\nabc'],
)
def test_nothing_behind_a_malformed_header_line_is_lost(web, line, behind):
    web.pages['/a'] = Raw(b'HTTP/1.1 200 OK\r\n' + line + b'\r\n' + behind)
    sentence = failure(errors.SourceUnreachable, web)
    assert sentence.startswith(f'{web.url}/a broke the rules of HTTP before it answered: a ')


def test_a_head_that_is_cut_off_is_no_head(web):
    web.pages['/a'] = Raw(b'HTTP/1.1 200 OK\r\nX: y\r\n')
    assert 'broke the connection before it answered' in failure(errors.SourceUnreachable, web)


def test_what_rfc_9112_lets_a_source_send_is_read(web):
    web.pages['/a'] = Raw(
        b'HTTP/1.1 103 Early Hints\nLink: </a>\n\n'
        b'HTTP/1.1 200 OK\nX: \xe4\tb\n folded\nTransfer-Encoding:\n chunked\n\n'
        b'4;x=y\nbits\n0\nX: y\n\n'
    )
    assert body_of(opened(web.url + '/a', web)) == b'bits'


@pytest.mark.parametrize(
    'end', [b'0\r\nX A: 1\r\n\r\n', b'0\r\nX: 1\r\n', b'0\r\n', b'0\r\n\x00: 1\r\n\r\n']
)
def test_a_chunked_file_ends_with_a_well_formed_trailer(web, end):
    web.pages['/a'] = Raw(
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbits\r\n' + end
    )
    assert 'after 4 bytes' in failure(errors.SourceUnreachable, web)


@pytest.mark.parametrize(
    ('line', 'fact'),
    [
        (b'Content-Length: \xa04', 'not a number of bytes'),
        (b'Content-Length: 4\r\n 4', 'not a number of bytes'),
        (b'Content-Length:', 'not a number of bytes'),
        (b'Content-Length: 0x4', 'not a number of bytes'),
        (b'Content-Length: \xb2', 'not a number of bytes'),
        (b'Transfer-Encoding: \xa0chunked', 'a transfer encoding'),
        (b'Transfer-Encoding: chunked, chunked', 'a transfer encoding'),
        (b'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity', 'a transfer encoding'),
        (b'Transfer-Encoding: xchunked', 'a transfer encoding'),
        (b'Transfer-Encoding:', 'a transfer encoding'),
        (b'Transfer-Encoding: ,chunked', 'a transfer encoding'),
        (b'Transfer-Encoding: chunked,', 'a transfer encoding'),
        (b'Transfer-Encoding: chunked\r\nTransfer-Encoding:', 'a transfer encoding'),
        (b'Transfer-Encoding:\r\nTransfer-Encoding: chunked', 'a transfer encoding'),
        (b'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked', 'a transfer encoding'),
        (b'Transfer-Encoding: chunked;q=1', 'a transfer encoding'),
        (b'Transfer-Encoding: "chunked"', 'a transfer encoding'),
        (b'Transfer-Encoding: chun\r\n ked', 'a transfer encoding'),
    ],
)
def test_framing_that_is_not_plain_is_refused(web, line, fact):
    web.pages['/a'] = Raw(b'HTTP/1.1 200 OK\r\n' + line + b'\r\n\r\nbits')
    assert fact in failure(errors.SourceBadResponse, web)


@pytest.mark.parametrize(
    ('head', 'said'),
    [
        (b'HTTP/1.1 200 OK\r\nX A: 1\r\n\r\n', 'the proxy broke the rules of HTTP: a header line'),
        (b'HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n', 'the proxy broke the rules of HTTP'),
        (b'HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 407 No\r\n\r\n', 'the proxy answered 407.'),
        (
            b'HTTP/1.1 100 Continue\r\n\r\n' * 9999,
            'the proxy broke the rules of HTTP: it does not',
        ),
        (b'HTTP/1.1 200 OK\r\nX: y\r\n', 'broke the connection before it agreed'),
    ],
)
def test_the_head_of_a_proxy_is_read_as_strictly(web, proxied, head, said):
    web.pages['images.example:443'] = Raw(head)
    with pytest.raises(errors.SourceUnreachable) as caught:
        proxied('https://images.example/a', connect_timeout=60)  # a head is read byte by byte
    assert said in str(caught.value)


def test_a_plain_answer_through_a_proxy_is_read_as_strictly(web, proxied):
    web.pages['http://images.example:80/a'] = Raw(b'HTTP/1.1 200 OK\r\nX A: 1\r\n' + CUT_SHORT)
    with pytest.raises(errors.SourceUnreachable, match='broke the rules of HTTP'):
        proxied('http://images.example/a')


# encodings and cookies


@pytest.mark.parametrize(
    'value',
    ['aws-chunked', 'none', 'utf-8', 'binary', '7bit', 'identity', 'None, AWS-Chunked', ''],
)
def test_an_encoding_that_is_none_is_ignored(web, value):
    web.pages['/a'] = Answer(b'bits', headers=[('Content-Encoding', value)])
    with opened(web.url + '/a', web) as source:
        assert not source.is_encoded
        assert body_of(source) == b'bits'


@pytest.mark.parametrize(
    'value',
    [
        *('gzip', 'GZIP', 'x-gzip', 'deflate', 'compress', 'x-compress', 'br', 'zstd'),
        *('aws-chunked,gzip', 'aws-chunked, br ,none', 'none,\tzstd'),
    ],
)
def test_an_encoded_file_is_refused_or_left_to_the_caller(web, value):
    web.pages['/a'] = Answer(b'bits', headers=[('Content-Encoding', value)])
    sentence = failure(errors.SourceBadResponse, web)
    assert sentence == (
        f'{web.url}/a answered 200 with an encoded file, though the plain one was asked for.'
    )
    with opened(web.url + '/a', web, accept_encoded=True) as source:
        assert source.is_encoded
        assert body_of(source) == b'bits'
        assert str(source.encoded_error()) == sentence


@pytest.mark.parametrize('begin', [b'\x1f\x8b\x08', b'\x1f\x9d\x90', b'\x28\xb5\x2f\xfd'])
def test_a_file_that_is_compressed_indeed_is_refused_at_its_begin(web, begin):
    more = threading.Event()

    def pieces():
        yield begin
        more.wait(10)

    web.pages['/a'] = Answer(pieces(), headers=[('Content-Encoding', 'gzip')])
    with opened(web.url + '/a', web, accept_encoded=True) as source:
        with pytest.raises(errors.SourceBadResponse, match='an encoded file'):
            source.read(65536)
        more.set()
    web.pages['/a'] = begin  # a file may hold what it likes
    assert body_of(opened(web.url + '/a', web)) == begin


def test_a_circle_that_a_cookie_would_end_is_named(web):
    web.pages['/a'] = Answer(status=302, headers=[('Location', '/b'), ('Set-Cookie', 'seen=1')])
    web.pages['/b'] = redirect('/a#part')
    assert failure(errors.SourceBadResponse, web) == (
        f'{web.url}/a answered 302 and redirected in a circle; '
        'it asks for a cookie, and cookies are not sent.'
    )
    assert len(web.requests) == 2
    web.requests.clear()
    web.pages['/itself'] = Answer(
        status=303, headers=[('Location', '/itself'), ('Set-Cookie', 'seen=1')]
    )
    assert 'asks for a cookie' in failure(errors.SourceBadResponse, web, '/itself')
    assert [request.path for request in web.requests] == ['/itself']


def test_a_cookie_is_named_when_redirects_do_not_end(web):
    def page(request):
        following = int(request.path.partition('=')[2] or 0) + 1
        return Answer(
            status=307, headers=[('Location', f'/a?try={following}'), ('Set-Cookie', 'seen=1')]
        )

    web.pages['/a'] = page
    sentence = failure(errors.SourceBadResponse, web)
    assert 'redirected more than 5 times in a row; it asks for a cookie' in sentence
    assert len(web.requests) == 6


def test_a_cookie_alone_stops_no_redirect(web):
    web.pages['/a'] = Answer(status=302, headers=[('Location', '/b'), ('Set-Cookie', 'seen=1')])
    web.pages['/b'] = b'bits'
    assert body_of(opened(web.url + '/a', web)) == b'bits'
    assert 'cookie' not in web.requests[1].headers
