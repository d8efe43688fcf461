"""What a store promises: the place that keeps the bytes of images."""

import abc
import collections.abc
import contextlib
import pathlib
import typing

from glance.domain import errors
from glance.domain.image import Location


class ImageStore(abc.ABC):
    """A place for image bytes. Nothing in it is ever overwritten.

    A kind of store is a subclass that is an entry point in glance.stores.

    options  oslo.config's options that the section of each store of this kind has
    goes_on  whether take_over() can keep bytes, so that each byte that add() stores brings
             its task further, also if its process dies
    """

    options: collections.abc.Sequence[typing.Any] = ()
    goes_on: bool = False

    @classmethod
    def local_folder(cls, name: str, section: typing.Any) -> str | None:
        """The local folder of a store, if it has one whose files the database names.

        The service makes the folder, and marks it as one of this deployment.

        name     of the store
        section  the values of its options

        Raises ConfigError if an option is missing.
        """
        return None

    @classmethod
    def from_conf(cls, folder: pathlib.Path | None, section: typing.Any) -> typing.Self:
        """The store of a section of the configuration.

        folder  what local_folder() returned; it exists
        """
        return cls()

    def owns(self, url: str) -> bool:
        """Whether the URL is of this store, so that its name may have changed since."""
        return False

    def is_reachable(self) -> bool:
        """Whether this process can store something now, as far as a quick look tells.

        It may wait for a disk: it is called in a native thread. A worker that cannot reach a
        store gets no steps that need it.
        """
        return True

    @abc.abstractmethod
    def location_of(self, image_id: str, number: int) -> str:
        """The URL under which the claim with this lease number stores an image."""

    def take_over(self, earlier: str, url: str, *, trusted: bool) -> bool:
        """Let the next add() of a URL go on with what an earlier claim stored of the same file.

        earlier  the URL under which it did; nothing is there any more if this returns True
        trusted  whether all bytes that it wrote are there, also those that were not durable

        Returns whether there is something to go on with.
        """
        return False

    @abc.abstractmethod
    def add(
        self,
        url: str,
        path: str,
        *,
        on_progress: collections.abc.Callable[[int], None] = lambda stored: None,
    ) -> None:
        """Store a staged file under this URL. It is durable when this returns.

        on_progress  called every few seconds with the bytes stored so far; an
                     exception from it ends the work

        Idempotent for the same file. Raises ForeignFile if another file has this
        URL, StorageFull if there is no room.
        """

    @abc.abstractmethod
    def open(self, url: str) -> contextlib.AbstractContextManager[typing.BinaryIO]:
        """The bytes, seekable. Raises Unavailable if they cannot be read."""

    @abc.abstractmethod
    def delete(self, url: str) -> None:
        """Remove the bytes. Idempotent.

        May raise: then it is called again later, until it succeeds. So it must not
        take bytes for removed that it cannot see now.
        """


class Stores(collections.abc.Mapping[str, ImageStore]):
    """The enabled stores by name.

    default  the name of the store for new images
    weights  by name; an image in several stores is read from the heaviest
    """

    def __init__(
        self,
        stores: collections.abc.Mapping[str, ImageStore],
        *,
        default: str,
        weights: collections.abc.Mapping[str, int] | None = None,
    ) -> None:
        self.default = default
        self._stores = stores
        self._weights = weights or {}

    def __getitem__(self, name: str) -> ImageStore:
        return self._stores[name]

    def __iter__(self) -> collections.abc.Iterator[str]:
        return iter(self._stores)

    def __len__(self) -> int:
        return len(self._stores)

    def of(self, location: Location) -> ImageStore:
        """The store of a location. Raises Unavailable if it is not enabled.

        A store that was renamed is found by the URLs that it owns.
        """
        if location.store in self._stores:
            return self._stores[location.store]
        for store in self._stores.values():
            if store.owns(location.url):
                return store
        raise errors.Unavailable(f'The store "{location.store}" is not enabled.')

    def by_weight(self, locations: collections.abc.Iterable[Location]) -> list[Location]:
        """These locations, those in the heaviest stores first."""
        return sorted(locations, key=lambda one: -self._weights.get(one.store, 0))
