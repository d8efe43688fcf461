"""Which servers cannot be used, in one sentence each."""

import pytest

from glance.db import server_checks


@pytest.mark.parametrize(
    ('server', 'fault'),
    [
        (('PostgreSQL', (15, 2), 'UTF8', False), ''),
        (('PostgreSQL', (9, 6), 'UTF8', False), ''),
        (
            ('PostgreSQL', (9, 5, 3), 'UTF8', False),
            'PostgreSQL 9.5.3 is too old; this service needs 9.6 or newer',
        ),
        (
            ('PostgreSQL', (15, 2), 'LATIN1', False),
            'its encoding is LATIN1; create it with the encoding UTF8',
        ),
        (('PostgreSQL', (15, 2), 'UTF8', True), 'it is read-only'),
        (('MariaDB', (10, 11, 2), 'utf8mb4', False), ''),
        (
            ('MariaDB', (10, 5, 9), 'utf8mb4', False),
            'MariaDB 10.5.9 is too old; this service needs 10.6 or newer',
        ),
        (
            ('MariaDB', (11, 4), 'latin1', False),
            'its encoding is latin1; create it with the encoding utf8mb4',
        ),
        (('MySQL', (8, 0, 36), 'utf8mb4', False), ''),
        (
            ('MySQL', (5, 7, 44), 'utf8mb4', False),
            'MySQL 5.7.44 is too old; this service needs 8.0 or newer',
        ),
        (('MySQL', (8, 4), 'utf8mb4', True), 'it is read-only'),
    ],
)
def test_what_is_wrong_with_a_server_is_one_sentence(server, fault):
    assert server_checks.fault_of(*server) == fault
