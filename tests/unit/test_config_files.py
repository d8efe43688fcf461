"""What configuration files say that is not read: named at the start, or the start is refused."""

import logging
import pathlib
import re

import pytest
import sqlalchemy as sa

from glance import conf as options
from glance import database, folders
from glance.cmd import _log_masking, _start, _values
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
        read.conf = conf = _start._read('glance-api', arguments)
        _values.require_of_libraries(conf)
        return _start.check(conf, executor=True)

    return read


@pytest.mark.parametrize(
    'flavor',
    ['keystone', 'keystone+caching', 'Keystone', '"keystone"', 'prod_keystone', 'trusted-auth'],
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
    'text',
    [
        '[DEFAULT]\nflavor = keystone\n',
        '[DEFAULT]\ndefault_store = rbd\n',
        '[glance_store]\nstores = rbd,http\n',
        '[glance_store]\nfilesystem_store_datadirs = /a:1\n',
        '[DEFAULT]\nfilesystem_store_datadirs = /a\n',
        '[DEFAULT]\nfilesystem_store_datadir = /a\n',
        '[DEFAULT]\nsql_connection = mysql://h/d\n',
        '[database]\nsql_connection = mysql://h/d\n',
        '[glance_store]\nenabled_backends = a:file\n',
        '[DEFAULT]\ndefault_backend = a\n',
    ],
)
def test_what_decides_safety_or_where_data_go_refuses_the_start_elsewhere_too(check, text):
    with pytest.raises(errors.ConfigError, match=r'^\[\w+\] \w+ .*(not read|identified)'):
        check(text)


def test_the_last_file_decides_which_store_is_asked_for(check):
    check('[glance_store]\ndefault_store = rbd\n', '[glance_store]\ndefault_store = file\n')


@pytest.mark.parametrize(
    ('section', 'meant'),
    [
        ('default', 'DEFAULT'),
        ('Default', 'DEFAULT'),
        ('DEFAULTS', 'DEFAULT'),
        ('tsk', 'task'),
        ('task_flow_executor', 'taskflow_executor'),
        ('databases', 'database'),
    ],
)
def test_a_misspelt_section_is_named_with_the_one_that_was_meant(check, section, meant):
    [sentence] = check(f'[{section}]\nworkers = 3\n')
    assert sentence.startswith(f'[{section}] in ')
    assert sentence.endswith(f'is not read: workers; did you mean [{meant}]?')


NUMBERS_AND_CHOICES = [
    (group.name, opt.name)
    for group, opts in options.list_opts()
    for opt in opts
    if opt.default is not None
    and not isinstance(opt.default, list)
    and opt.name != 'mysql_sql_mode'  # empty is that of the server
]


@pytest.mark.parametrize(
    ('section', 'option'),
    [
        *NUMBERS_AND_CHOICES,
        ('DEFAULT', 'graceful_shutdown_timeout'),
        ('DEFAULT', 'log_rotate_interval'),
        ('DEFAULT', 'debug'),
        ('oslo_policy', 'remote_timeout'),
        ('healthcheck', 'detailed'),
    ],
)
def test_an_option_without_a_value_is_refused(check, tmp_path, section, option):
    with pytest.raises(errors.ConfigError) as refused:
        check(f'[{section}]\n{option} =\n')
    sentence = str(refused.value)
    assert f'[{section}] {option} = ' in sentence or f'[task] {option} = ' in sentence
    assert str(tmp_path / 'glance-api.conf') in sentence or option == 'task_executor'


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        ('[task]\nlease_time = nan\n', 'not a number with an end'),
        ('[import_filtering_opts]\nread_timeout = inf\n', 'not a number with an end'),
        ('[task]\nstall_timeout = 1e300\n', 'at most 2147483647'),
        ('[DEFAULT]\nbacklog = 99999999999\n', 'at most 2147483647'),
        ('[DEFAULT]\ngraceful_shutdown_timeout = -1\n', 'at least 0'),
        ('[DEFAULT]\ngraceful_shutdown_timeout = x\n', 'x'),
        ('[DEFAULT]\nlog_rotation_type = hourly\n', 'interval'),
        ('[DEFAULT]\nlog_rotate_interval = 0\n', 'at least 1'),
        ('[DEFAULT]\nmax_logfile_count = -1\n', 'at least 0'),
        ('[DEFAULT]\nlogging_default_format_string = %(message)\n', 'no format of log lines'),
        ('[oslo_policy]\nremote_content_type = xml\n', 'xml'),
        ('[oslo_policy]\nremote_timeout = nan\n', 'not a number with an end'),
        ('[healthcheck]\ndetailed = maybe\n', 'maybe'),
        ('[HEALTHCHECK]\ndetailed = maybe\n', 'maybe'),
        ('[glance_store]\nfilesystem_store_file_perm = 0o999\n', '0o999'),
        ('[glance_store]\nfilesystem_store_file_perm = 640640\n', '511'),
    ],
)
def test_a_value_that_nothing_could_use_is_refused(check, tmp_path, text, reason):
    with pytest.raises(errors.ConfigError) as refused:
        check(text)
    sentence = str(refused.value)
    assert f'in {tmp_path / "glance-api.conf"} cannot be used: ' in sentence
    assert reason in sentence


@pytest.mark.parametrize(
    ('written', 'permissions'),
    [('0640', 0o640), ('0o640', 0o640), ('416', 0o640), ('0', 0), (' 0O600 ', 0o600)],
)
def test_permissions_are_octal_as_people_write_them(check, written, permissions):
    check(f'[glance_store]\nfilesystem_store_file_perm = {written}\n')
    assert check.conf.glance_store.filesystem_store_file_perm == permissions


@pytest.mark.parametrize(
    'url',
    [
        f'user:{SECRET}@h:80',
        f'//user:{SECRET}@h:80',
        f'ftp://user:{SECRET}@h:80',
        f'http://user:{SECRET}@h:port',
        f'http://user:{SECRET}@',
        f'http://user:{SECRET}@[::1:80',
        f'http://user:{SECRET} x@h',
        f'{SECRET}@h',
    ],
)
@pytest.mark.parametrize(
    ('section', 'option'), [('import_filtering_opts', 'proxy'), ('DEFAULT', 'public_endpoint')]
)
def test_a_url_that_is_none_is_not_repeated(check, section, option, url):
    with pytest.raises(errors.ConfigError, match='it is no URL of the form http') as refused:
        check(f'[{section}]\n{option} = {url}\n')
    assert SECRET not in str(refused.value)


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
        (f'[DEFAULT]\npublic_endpoin = u:{SECRET}@h\n', 'public_endpoin = *** in {} is not'),
        (f'[database]\nconection = {SECRET}\n', 'conection = *** in {} is not an option; did'),
        ('[oslo_policy]\nenforce_scope = 1\n', 'not read: enforce_scope.'),
        ('[cors]\nallowed_origin = *\n', '[cors] in {} is a section that this service does not'),
        (
            '[DEFAULT]\nlog-file = x\n',
            '[DEFAULT] log-file = x in {} is not an option; did you mean log_file',
        ),
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
        '[DEFAULT]\ndebug = true\nlog_file = x\ngraceful_shutdown_timeout = 9\n',
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


@pytest.mark.parametrize(
    'url',
    [
        f'postgresql://u:{SECRET}@h:port/d',
        f'{SECRET}',
        f':{SECRET}@',
        f'postgresql://u:a@{SECRET}@h/d',
        f'mysql://u:a@1/{SECRET}@h/d',
    ],
)
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
        f'postgresql://h/d?user=u&password={SECRET}',
        f'postgresql://u:{SECRET}@{SECRET}@h/d',
        f"postgresql://u:x'{SECRET}@h/d",
        f'value too long\nDETAIL:  Failing row contains (http://u:{SECRET}...).\nnext',
        f'no such column\nLINE 1: SELECT {SECRET}',
        f'http://u:{SECRET}',
        f'http://h/p;sig={SECRET}',
        f'HTTP://u:{SECRET}\uff20h',
    ],
)
def test_secrets_are_masked_in_whatever_is_logged(text):
    record = logging.LogRecord('a', logging.ERROR, 'f', 1, 'failed: %s', (text,), None)
    said = _log_masking.Formatter(logging.Formatter('%(message)s')).format(record)
    assert SECRET not in said
    assert said.startswith('failed: ')
    assert _log_masking.mask_text(said) == said


def test_a_text_without_secrets_stays_as_it_is():
    for text in (
        'http://h/p failed',
        'nothing',
        'glance-api listens on http://127.0.0.1:9292',
        'at http://h:80, (http://h:80) and sqlite:////a@b/c: fine',
        '[http://h/p]',
        'http://[::1]:80/a',
    ):
        assert _log_masking.mask_text(text) == text


@pytest.mark.parametrize(
    'url', [f'postgresql://u:{SECRET}@h/d', f'postgresql://h/d?user=u&password={SECRET}', None]
)
def test_the_address_of_a_database_is_shown_without_secrets(check, tmp_path, url):
    check(f'[DEFAULT]\nstate_path = {tmp_path}\n[database]\nconnection = {url or ""}\n')
    shown = database.shown_database(check.conf, folders.Folders(check.conf))
    assert SECRET not in shown
    assert shown.startswith('postgresql://' if url else f'sqlite:///{tmp_path}/glance.sqlite')


@pytest.mark.parametrize('kind', ['read', 'write'])
def test_the_database_shows_no_parameters_in_errors(tmp_path, kind):
    opened = sessions.open_database(f'sqlite:///{tmp_path}/db')
    with pytest.raises(errors.DatabaseUnavailable) as raised:
        getattr(opened, kind)(
            lambda connection: connection.execute(
                sa.text('SELECT * FROM nothing WHERE a = :a'), {'a': SECRET}
            )
        )
    assert SECRET not in str(raised.value.__cause__)
    opened.close()
