"""The certificates that https sources are checked against."""

import logging
import os
import ssl

from glance.domain import own_lack

LOG = logging.getLogger(__name__)

# What identifies the content of a file: device, inode, size, and when it changed.
_FileState = tuple[int, int, int, int] | None

# By ca_file: the state of the files, and the context that was loaded from them.
_loaded: dict[str | None, tuple[tuple[_FileState, ...], ssl.SSLContext]] = {}


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """A context that trusts the system's certificates, and those of a file.

    Loading takes tens of milliseconds, so it is done again only after a file was
    changed. If a changed file cannot be loaded, the former certificates stay.

    Raises OSError if the file cannot be loaded the first time; ssl.SSLError is one.
    """
    states = tuple(_state(path) for path in (ssl.get_default_verify_paths().cafile, ca_file))
    known, context = _loaded.get(ca_file, (None, None))
    if context is None or known != states:
        try:
            context = _load(ca_file)
        except OSError as error:
            if context is None or own_lack.is_one(error):
                raise
            LOG.warning(
                'The certificates in %s cannot be loaded, so the former ones stay in use: %s',
                ca_file,
                error,
                extra={'action': 'certificates_kept'},
            )
        _loaded[ca_file] = states, context
    return context


def _load(ca_file: str | None) -> ssl.SSLContext:
    usual = ssl.get_default_verify_paths().cafile
    if usual is not None:
        open(usual, 'rb').close()  # one that cannot be opened for a lack would count as empty
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


def _state(path: str | None) -> _FileState:
    if path is None:
        return None
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_ctime_ns
