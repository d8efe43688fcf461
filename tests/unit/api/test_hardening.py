"""What a hostile client found once."""

import json

import pytest
import webob

from glance.api.middleware.noauth import NoAuth


@pytest.fixture
def is_ours():
    class Conf:
        noauth_project = 'p'
        noauth_allow_remote = False
        bind_host = 'images.example'
        public_endpoint = None

    return NoAuth(None, Conf, None)._is_ours


@pytest.mark.parametrize(
    'host',
    [
        'localhost',
        'LOCALHOST:80',
        '127.0.0.1',
        '127.9.9.9:1',
        '[::1]:80',
        '[::1]',
        'images.example:9292',
    ],
)
def test_our_own_names_are_answered(is_ours, host):
    assert is_ours(host)


@pytest.mark.parametrize(
    'host',
    [
        'localhost:80@evil.com',
        '127.0.0.1:"><script>',
        '[::1]evil',
        '[::1',
        '[localhost]',
        'localhost evil',
        'localhost:',
        'localhost:123456',
        'evil.com',
        '',
        '127.0.0.1.nip.io',
    ],
)
def test_a_host_header_with_a_tail_is_foreign(is_ours, host):
    assert not is_ours(host)


@pytest.mark.parametrize('digits', [41, 5000])
def test_an_endless_number_is_refused_in_our_words(digits):
    from glance.api import body
    from glance.domain import errors

    content = json.dumps({'a': 0}).replace('0', '9' * digits).encode()
    request = webob.Request.blank('/', method='POST', body=content)
    request.content_type = 'application/json'
    request.environ[body.LIMIT] = 10**6
    with pytest.raises(errors.Invalid, match='a number is too large') as caught:
        body.read(request, body.validator({}))
    assert 'sys.' not in str(caught.value)
