"""Which configuration files a command reads, and their content.

Files are looked at here before oslo.config reads them: its messages repeat the line
that it could not parse, which may hold a secret, and a wrong encoding is a traceback.
"""

import argparse
import codecs
import collections.abc
import dataclasses
import os
import re
import sys

from oslo_config import cfg

from glance.domain import errors

Sections = dict[str, dict[str, list[str]]]  # section, option, its values

# What OS_GLANCE_CONFIG_DIR is searched for, as by other image services.
_USUAL_NAMES = ('glance-api.conf', 'glance-image-import.conf')


@dataclasses.dataclass(frozen=True)
class Defaults:
    """What is read if the command line names nothing else."""

    files: list[str]
    folders: list[str]


def defaults() -> Defaults:
    """The files of the environment, or the usual ones.

    OS_GLANCE_CONFIG_DIR    a folder with glance-api.conf
    OS_GLANCE_CONFIG_FILES  names of files in it, or paths, separated by semicolons

    Raises ConfigError if the environment names what does not exist.
    """
    folder = os.environ.get('OS_GLANCE_CONFIG_DIR', '').strip()
    named = [
        name.strip() for name in os.environ.get('OS_GLANCE_CONFIG_FILES', '').split(';') if name
    ]
    if folder and not os.path.isdir(folder):
        raise errors.ConfigError(f'OS_GLANCE_CONFIG_DIR names {folder}, which is no folder.')
    if named:
        files = [os.path.join(folder or '/etc/glance', name) for name in named]
        for file in files:
            if not os.path.isfile(file):
                raise errors.ConfigError(f'OS_GLANCE_CONFIG_FILES names {file}, which is no file.')
    elif folder:
        files = [os.path.join(folder, name) for name in _USUAL_NAMES]
        if not os.path.exists(files[0]):
            raise errors.ConfigError(
                f'OS_GLANCE_CONFIG_DIR names {folder}, which has no {_USUAL_NAMES[0]}.'
            )
        files = [file for file in files if os.path.exists(file)]
    else:
        files = cfg.find_config_files(project='glance', prog='glance-api')
    return Defaults(files, cfg.find_config_dirs(project='glance', prog='glance-api'))


def split(
    program: str, argv: collections.abc.Sequence[str] | None
) -> tuple[list[str], list[str], list[str]]:
    """(files, folders, other arguments) of a command line. None is that of this process."""
    parser = argparse.ArgumentParser(program, add_help=False, allow_abbrev=False)
    parser.add_argument('--config-file', action='append', default=[])
    parser.add_argument('--config-dir', action='append', default=[])
    found, others = parser.parse_known_args(sys.argv[1:] if argv is None else list(argv))
    return found.config_file, found.config_dir, others


def before_the_command(program: str, argv: collections.abc.Sequence[str] | None) -> list[str]:
    """A command line whose files and folders come first, as oslo.config wants them."""
    files, folders, others = split(program, argv)
    return [
        *(word for file in files for word in ('--config-file', file)),
        *(word for folder in folders for word in ('--config-dir', folder)),
        *others,
    ]


def read_all(
    program: str, argv: collections.abc.Sequence[str] | None, default: Defaults
) -> list[tuple[str, Sections]]:
    """(file, sections) of all files that a command line leads to, in the order of reading.

    Raises ConfigError with the first file or folder that cannot be read.
    """
    files, folders, _others = split(program, argv)
    paths = list(files or default.files)
    for folder in folders or default.folders:
        paths += of_folder(folder)
    return [(path, parse(path)) for path in paths]


def of_folder(folder: str) -> list[str]:
    """The configuration files of a folder, in the order of reading. Raises ConfigError."""
    try:
        names = os.listdir(os.path.expanduser(folder))
    except OSError as error:
        raise errors.ConfigError(
            f'The folder of configuration files {folder} cannot be read: {error.strerror}.'
        ) from None
    return sorted(
        os.path.join(folder, name) for name in names if re.fullmatch(r'[^.].*\.conf', name)
    )


def parse(path: str) -> Sections:
    """The sections of a file. Raises ConfigError; the message shows no line of the file."""
    what = f'The configuration file {path}'
    try:
        with open(os.path.expanduser(path), 'rb') as file:
            content = file.read()
    except FileNotFoundError:
        raise errors.ConfigError(f'{what} does not exist.') from None
    except OSError as error:
        raise errors.ConfigError(f'{what} cannot be read: {error.strerror}.') from None
    if content.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise errors.ConfigError(
            f'{what} begins with a byte order mark; save it as UTF-8 without one.'
        )
    try:
        if '\0' in content.decode():
            raise errors.ConfigError(f'{what} is not text in UTF-8: it has NUL characters.')
    except UnicodeDecodeError as error:
        line = content.count(b'\n', 0, error.start) + 1
        raise errors.ConfigError(f'{what} is not text in UTF-8: see line {line}.') from None
    sections: Sections = {}
    try:
        cfg.ConfigParser(os.path.expanduser(path), sections).parse()
    except cfg.ParseError as error:
        raise errors.ConfigError(
            f'{what} cannot be read: line {error.lineno}: {error.msg}.'
        ) from None
    return sections
