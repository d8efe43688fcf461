"""What configuration files say that is not read: named at the start, or the start is refused."""

import logging
import pathlib
import re

import pytest
import sqlalchemy as sa
from oslo_config import cfg

from glance import bootstrap
from glance import conf as options
from glance.cmd import _log_masking, _start
from glance.db import sessions
from glance.domain import errors

ROOT = pathlib.Path(__file__).parents[2]
SECRET = 'geheim'


@pytest.fixture
def check(tmp_path):
    """check(text): the sentences about a configuration file. Raises ConfigError."""

    def read(text, folder_text=None):
        file = tmp_path / 'glance-api.conf'
        file.write_text(text)
        arguments = ['--config-file', str(file)]
        if folder_text is not None:
            (tmp_path / 'conf.d').mkdir()
            (tmp_path / 'conf.d' / 'more.conf').write_text(folder_text)
            arguments += ['--config-dir', str(tmp_path / 'conf.d')]
        conf = cfg.ConfigOpts()
        bootstrap.register_opts(conf)
        conf(arguments, default_config_files=[], default_config_dirs=[])
        read.conf = conf
        return _start.check(conf, executor=True)

    return read


@pytest.mark.parametrize(
    'flavor', ['keystone', 'keystone+caching', 'Keystone', '"keystone"', 'trusted-auth']
)
def test_a_flavor_that_identifies_callers_refuses_the_start(check, flavor):
    with pytest.raises(errors.ConfigError, match=r'flavor = .* everybody who reaches it'):
        check(f'[paste_deploy]\nflavor = {flavor}\n')


def test_also_one_in_a_folder_of_configuration_files(check):
    with pytest.raises(errors.ConfigError, match=r'conf\.d/more\.conf asks that callers are id'):
        check('[DEFAULT]\n', '[paste_deploy]\nflavor = keystone\n')


def test_the_old_form_of_another_kind_of_store_refuses_the_start(check):
    with pytest.raises(errors.ConfigError, match=r'default_store = rbd in .* not read'):
        check('[glance_store]\nstores = rbd,file\ndefault_store = rbd\n')
    check('[glance_store]\ndefault_store = file\n')
    check(
        '[DEFAULT]\nenabled_backends = a:file\n[glance_store]\ndefault_store = rbd\n'
        'default_backend = a\n'
    )


@pytest.mark.parametrize(
    ('text', 'named'),
    [
        ('[paste_deploy]\nflavor = caching\n', '[paste_deploy] in {} is a section'),
        (f'[keystone_authtoken]\npassword = {SECRET}\n', 'does not read: password.'),
        ('[file]\nfilesystem_store_datadir = /x\n', '[file] in {} is the section of no store'),
        (f'[DEFAULT]\ntransport_url = rabbit://u:{SECRET}@h\n', 'not read: transport_url.'),
        ('[DEFAULT]\nuser_storage_quota = 1\nshow_image_direct_url = 1\n', 'quota'),
        (
            '[DEFAULT]\nworker = 2\n',
            '[DEFAULT] worker = 2 in {} is not an option; did you mean wo',
        ),
        ('[glance_store]\nstores = file\n', 'not read: stores.'),
        ('[database]\nmax_retries = 1\n', '[database] in {} has options that this service does'),
        (f'[database]\nconection = {SECRET}\n', 'conection = *** in {} is not an option; did'),
        ('[oslo_policy]\nenforce_scope = 1\n', 'not read: enforce_scope.'),
        ('[cors]\nallowed_origin = *\n', '[cors] in {} is a section that this service does not'),
        ('[TASK]\nlease_times = 9\n', '[TASK] lease_times = 9 in {} is not an option; did you'),
    ],
)
def test_what_is_not_read_is_named_without_its_value(check, tmp_path, text, named):
    [sentence] = check(text)
    assert named.replace('{}', str(tmp_path / 'glance-api.conf')) in sentence
    assert SECRET not in sentence


@pytest.mark.parametrize(
    'text',
    [
        '',
        '[DEFAULT]\ndebug = true\nlog-file = x\ngraceful_shutdown_timeout = 9\n',
        '[Task]\nlease_time = 20\n',
        '[wsgi]\ntask_pool_threads = 3\n',
        '[healthcheck]\nbackends = disable_by_file\n[oslo_policy]\npolicy_file = p\n',
        '[database]\nconnection = sqlite:///x\n',
    ],
)
def test_what_is_read_is_not_named(check, text):
    assert check(text) == []


def test_the_sample_is_read(check):
    """Each option that stands in it, commented out as it is."""
    sample = (ROOT / 'etc' / 'glance-api.conf').read_text()
    text = re.sub(r'(?m)^#([a-z_]+ = )', r'\1', sample).replace('$', '$$')
    without_values = re.sub(r'(?m)^[a-z_]+ = <None>$', '', text)
    assert len(re.findall(r'(?m)^[a-z_]+ = ', without_values)) > 80
    assert check(without_values) == []


def test_each_option_of_the_service_is_used_by_a_room():
    code = '\n'.join(
        path.read_text()
        for path in (ROOT / 'glance').rglob('*.py')
        if path.parent != ROOT / 'glance' / 'conf'
    )
    unused = [
        opt.dest
        for _group, opts in options.list_opts()
        for opt in opts
        if not re.search(rf"\.{opt.dest}\b|'{opt.dest}'", code)
        # import_filter() reads these by two names put together
        and not re.fullmatch('(dis)?allowed_(schemes|hosts|ports)', opt.dest)
    ]
    assert unused == []


def test_a_dollar_sign_is_explained_and_a_secret_not_shown(check):
    with pytest.raises(errors.ConfigError, match=r'connection = \*\*\* in .*; a dollar sign'):
        check(f'[database]\nconnection = mysql://a:{SECRET}$x@h/d\n')
    check(f'[database]\nconnection = mysql://a:{SECRET}$$x@h/d\n')
    assert read_password(check) == f'{SECRET}$x'


def read_password(check):
    return sa.make_url(check.conf.database.connection).password


@pytest.mark.parametrize(
    ('section', 'option'),
    [
        ('DEFAULT', 'state_path'),
        ('task', 'work_dir'),
        ('glance_store', 'filesystem_store_datadir'),
        ('import_filtering_opts', 'ca_file'),
    ],
)
def test_a_tilde_is_the_home_directory(check, monkeypatch, section, option):
    monkeypatch.setenv('HOME', '/home/of-somebody')
    check(f'[{section}]\n{option} = ~/x\n')
    group = check.conf if section == 'DEFAULT' else check.conf[section]
    assert group[option] == '/home/of-somebody/x'
    with pytest.raises(errors.ConfigError, match='~nobody-of-this-name is no home directory'):
        check(f'[{section}]\n{option} = ~nobody-of-this-name/x\n')


@pytest.mark.parametrize(
    ('url', 'driver'),
    [
        ('postgresql://h/d', 'postgresql+psycopg2'),
        ('postgres://h/d', 'postgresql+psycopg2'),
        ('mysql://h/d', 'mysql+pymysql'),
        ('mariadb://h/d', 'mysql+pymysql'),
    ],
)
def test_a_database_needs_no_name_of_a_driver(url, driver):
    opened = sessions.open_database(url)
    assert opened.engine.url.drivername == driver
    opened.close()


@pytest.mark.parametrize('url', [f'postgresql://u:{SECRET}@h:port/d', f'{SECRET}', f':{SECRET}@'])
def test_the_text_of_no_database_is_not_shown(url):
    with pytest.raises(errors.ConfigError) as refused:
        sessions.open_database(url)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    'text',
    [
        f"[parameters: ('http://user:{SECRET}@h/x?X-Amz-Signature={SECRET}',)]",
        f'{{"input": {{"import_from": "HTTPS://user:{SECRET}@h/x?a={SECRET}"}}}}',
        f'could not connect to postgresql+psycopg2://root:{SECRET}@h/d?sslmode=disable',
        f'(amqp://a:{SECRET}@h) and https://h/p?sig={SECRET}\nnext line',
    ],
)
def test_secrets_are_masked_in_whatever_is_logged(text):
    record = logging.LogRecord('a', logging.ERROR, 'f', 1, 'failed: %s', (text,), None)
    said = _log_masking.Formatter(logging.Formatter('%(message)s')).format(record)
    assert SECRET not in said
    assert said.startswith('failed: ')
    assert _log_masking.mask_text(said) == said


def test_a_text_without_secrets_stays_as_it_is():
    for text in ('http://h/p failed', 'nothing', 'glance-api listens on http://127.0.0.1:9292'):
        assert _log_masking.mask_text(text) == text


@pytest.mark.parametrize('kind', ['read', 'write'])
def test_the_database_shows_no_parameters_in_errors(tmp_path, kind):
    database = sessions.open_database(f'sqlite:///{tmp_path}/db')
    with pytest.raises(errors.DatabaseUnavailable) as raised:
        getattr(database, kind)(
            lambda connection: connection.execute(
                sa.text('SELECT * FROM nothing WHERE a = :a'), {'a': SECRET}
            )
        )
    assert SECRET not in str(raised.value.__cause__)
    database.close()
