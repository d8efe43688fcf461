"""The folders in which the service keeps its files."""

import os
import pathlib
import uuid

from oslo_config import cfg

from glance import enabled_stores
from glance.domain import errors
from glance.image_data import deployment_marker, folder_id


class Folders:
    """The folders of this host. The constructor creates them and checks that they are writable.

    staging  whether the staging folder is needed; only a process that runs tasks needs it

    Raises ConfigError with the folder and the reason.
    """

    def __init__(self, conf: cfg.ConfigOpts, *, staging: bool = True) -> None:
        self.state = state_path(conf)
        self.stores = enabled_stores.read(conf, self.state)
        self.staging = _path(conf.task.work_dir) or self.state / 'staging'
        self.run = self.state / 'run'
        _create('state_path', self.state)
        _create('state_path', self.run)
        for label, folder in self._of_stores().items():
            _create(label, folder)
        if staging:
            _create('work_dir', self.staging)
        self._require_distinct()

    def kept(self) -> dict[str, pathlib.Path]:
        """Option to folder, for the existing folders with files that the database names."""
        folders = self._of_stores() | {'work_dir': self.staging}
        return {label: folder for label, folder in folders.items() if folder.is_dir()}

    def id_of_store(self, name: str, *, makes: bool = True) -> str | None:
        """The id of the folder of a store, by which hosts know whether they see the same one.

        makes  whether the folder gets an id if it has none

        None if the store has no folder, or if the folder has no marker of a deployment: then its
        disk is not mounted. It waits for the disk.
        """
        for store in self.stores.stores:
            if store.name == name and store.folder:
                try:
                    if deployment_marker.read(store.folder) is not None:
                        return (folder_id.of if makes else folder_id.read)(store.folder)
                except OSError:
                    return None
        return None

    def _of_stores(self) -> dict[str, pathlib.Path]:
        return {store.label: store.folder for store in self.stores.stores if store.folder}

    def _require_distinct(self) -> None:
        """Raises ConfigError if two names lead to one folder: each is cleaned on its own."""
        labels: dict[tuple[int, int], str] = {}
        for label, folder in self.kept().items():
            found = folder.stat()
            other = labels.setdefault((found.st_dev, found.st_ino), label)
            if other != label:
                raise errors.ConfigError(
                    f'{label} and {other} are the same folder, {folder}; each needs its own.'
                )


def _create(option: str, folder: pathlib.Path) -> None:
    """Create the folder of an option if it is missing, and write a file in it for a trial."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = folder / f'.probe-{uuid.uuid4().hex}'
        probe.write_bytes(b'1')  # on a full disk, an empty file could still be created
        probe.unlink()
    except OSError as error:
        raise errors.ConfigError(
            f'{option}: {folder} cannot be written to: {error.strerror}.'
        ) from None


def _path(configured: str | None) -> pathlib.Path | None:
    return pathlib.Path(configured).absolute() if configured else None


def state_path(conf: cfg.ConfigOpts) -> pathlib.Path:
    """The folder for everything that has no folder of its own."""
    return _path(conf.state_path) or _default_state_path()


def _default_state_path() -> pathlib.Path:
    try:
        home = os.environ.get('XDG_STATE_HOME') or pathlib.Path.home() / '.local' / 'state'
    except RuntimeError:  # no HOME, and no entry of this user
        raise errors.ConfigError(
            'state_path is not set, and this user has no home directory to take instead.'
        ) from None
    return pathlib.Path(home) / 'glance'
