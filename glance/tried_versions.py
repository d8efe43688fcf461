"""Warns of libraries in versions that were not tried with the service.

The service uses private parts of these libraries. A new minor version can
change them, although its public interface stays the same.
"""

import collections.abc
import importlib.metadata
import logging

LOG = logging.getLogger(__name__)

# The versions in constraints.txt.
TRIED = {'eventlet': '0.41.3', 'futurist': '3.5.0', 'oslo.service': '4.8.0', 'taskflow': '6.5.0'}


def warn(installed: collections.abc.Callable[[str], str] = importlib.metadata.version) -> None:
    """Log a warning for each library whose major or minor version was not tried."""
    for library, tried in TRIED.items():
        version = installed(library)
        if _series(version) != _series(tried):
            LOG.warning(
                'The installed %s %s was not tried with this service, but %s was. '
                'The service may fail with it',
                library,
                version,
                tried,
                extra={'action': 'untried_version'},
            )


def _series(version: str) -> list[str]:
    return version.split('.')[:2]
