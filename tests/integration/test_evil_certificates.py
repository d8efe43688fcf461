"""https sources that are not who they say: a clear sentence, no request, nothing left behind."""

import datetime
import socket
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from glance.testing.source_server import SourceServer

pytestmark = pytest.mark.once

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


class Names:
    """Every name is this machine's."""

    def addresses(self, host, port):
        return ['127.0.0.1']


def certificate(folder, name, *, until=NOW + DAY, issuer=None):
    """A certificate with its key, as (path, certificate, key); without an issuer its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    _path, authority, signing_key = issuer or (None, None, key)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(authority.subject if authority else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - 9 * DAY)
        .not_valid_after(until)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(
            x509.BasicConstraints(ca=authority is None, path_length=None), critical=True
        )
        .add_extension(x509.KeyUsage(True, *[False] * 4, True, *[False] * 3), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), False
        )
        .sign(signing_key, hashes.SHA256())
    )
    path = folder / f'{name}-{made.serial_number}.pem'
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path, made, key


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('certificates')


@pytest.fixture(scope='module')
def authority(folder):
    return certificate(folder, 'authority.example')


@pytest.fixture
def service(make_service, authority):
    """make(port): a service that trusts the authority, besides the system's."""

    def make(port, **options):
        section = {
            'allowed_hosts': [],
            'allowed_networks': ['127.0.0.0/8'],
            'allowed_ports': [port],
            'ca_file': str(authority[0]),
        }
        return make_service(
            import_filtering_opts=section | options, replacements={'resolver': Names()}
        ).start()

    return make


def serving(path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return SourceServer(tls=context)


def imported(service, source, host):
    return service.ended(service.import_(f'https://{host}:{source.port}/a').json['id'])


def test_a_source_that_the_authority_knows_is_read(service, folder, authority):
    path, _made, _key = certificate(folder, 'good.example', issuer=authority)
    with serving(path) as source:
        source.pages['/a'] = b'bits'
        task = imported(service(source.port), source, 'good.example')
    assert task['status'] == 'success', task['message']


EVIL = {
    'wrong name': ({'name': 'other.example'}, True, 'Hostname mismatch'),
    'expired': ({'name': 'evil.example', 'until': NOW - DAY}, True, 'certificate has expired'),
    'self-signed': ({'name': 'evil.example'}, False, 'self-signed certificate'),
}


@pytest.mark.parametrize('row', EVIL)
def test_a_source_that_is_not_trusted_is_asked_nothing(service, folder, authority, row):
    options, signed, said = EVIL[row]
    path, _made, _key = certificate(folder, issuer=authority if signed else None, **options)
    with serving(path) as source:
        source.pages['/a'] = b'bits'
        running = service(source.port)
        task = imported(running, source, 'evil.example')
        assert task['status'] == 'failure'
        assert task['message'].startswith(
            f'The certificate of https://evil.example:{source.port}/a is not trusted: '
        )
        assert said.replace('-', ' ') in task['message'].replace('-', ' ')
        assert source.requests == []
        assert running.files() == []


def test_a_handshake_of_one_byte_at_a_time_is_given_up(service):
    """Each byte comes in time; the handshake as a whole does not."""
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        listener.listen(1)
        over = threading.Event()

        def drip():
            client, _place = listener.accept()
            with client:
                client.sendall(b'\x16\x03\x03\x40\x00\x02\x00\x30\x00')  # a long greeting
                while not over.wait(0.05):
                    try:
                        client.sendall(b'\x03')
                    except OSError:
                        return

        dripping = threading.Thread(target=drip)
        dripping.start()
        running = service(listener.getsockname()[1], connect_timeout=0.5)
        address = f'https://evil.example:{listener.getsockname()[1]}/a'
        task = running.ended(running.import_(address).json['id'])
        over.set()
        dripping.join()
    assert task['message'] == (
        f'{address} was silent for too long before it agreed to a secure connection.'
    )
    assert running.files() == []
