"""All errors that the service raises on purpose.

    GlanceError
      Invalid           the request is malformed, or one of its values is
      Forbidden         the caller may not do this
      NotFound          TaskNotFound, ImageNotFound
      Conflict          WrongTransition, ImageExists, ForeignFile
      TooLarge          a body or a number of items is over its limit
      Unavailable       DatabaseUnavailable: the caller should try again later
      PluginBroke       a plug-in does not do what it promises
      ConfigError       the service cannot start with this configuration
      TaskFailed        FormatMismatch, StorageFull, StorageUnusable, StagingChanged,
                        ImageGone, Cancelled, AttemptsUsedUp: the message of the
                        failed task
        SourceFailed      SourceRefused, SourceUnresolved, SourceUnreachable,
                          FetchTooLong, SourceBadResponse, SourceEmpty, SizeMismatch,
                          SourceTooLarge, ChecksumMismatch, SourcesGivenUp

glance/api/errors.py has the HTTP status of each. glance/domain/lease.py has the
ways to stop a run without an error.
"""

import collections.abc


class GlanceError(Exception):
    """The root of all errors. str() of an error is one sentence for the user."""

    code = 'error'


class Invalid(GlanceError):
    """Raised for a request that is malformed. The sentence names the field."""

    code = 'invalid'


class Forbidden(GlanceError):
    """Raised if policy, a reserved name or the state of an image forbids a request."""

    code = 'forbidden'


class NotFound(GlanceError):
    """Raised if something does not exist, or the caller may not see it."""

    code = 'not_found'


class TaskNotFound(NotFound):
    """Raised if a task does not exist, has expired, or belongs to another project."""

    code = 'task_not_found'

    def __init__(self, task_id: str):
        super().__init__(f'There is no task {task_id}.')


class ImageNotFound(NotFound):
    """Raised if an image does not exist, is deleted, or the caller may not see it."""

    code = 'image_not_found'

    def __init__(self, image_id: str):
        super().__init__(f'There is no image {image_id}.')


class Conflict(GlanceError):
    """Raised if the state of a task, an image or a file does not allow a request."""

    code = 'conflict'


class WrongTransition(Conflict):
    """Raised if a status cannot follow the present status of a task or an image."""

    code = 'wrong_transition'  # clients may compare it: never reword

    def __init__(self, what: str, now: str, wanted: str):
        super().__init__(f'{what} is {now}; it cannot become {wanted}.')
        self.now = now
        self.wanted = wanted


class ImageExists(Conflict):
    """Raised for a new image whose id another image has."""

    code = 'image_exists'

    def __init__(self, image_id: str):
        super().__init__(f'An image with the id {image_id} exists already.')


class ForeignFile(Conflict):
    """Raised if a file that this run did not write has the name of a file to be stored."""

    code = 'foreign_file'

    def __init__(self, name: str):
        super().__init__(f'Something that this task did not write is already stored as {name}.')


class TooLarge(GlanceError):
    """Raised for a body over its size limit, and for more items than a quota allows."""

    code = 'too_large'


class Unavailable(GlanceError):
    """Raised if the service cannot answer now. The request is good and can be repeated."""

    code = 'unavailable'


class DatabaseUnavailable(Unavailable):
    """Raised if the database cannot be reached, or cannot write."""

    code = 'database_unavailable'

    def __init__(self) -> None:
        super().__init__('The database cannot be reached or cannot write; try again later.')


class WriteRefused(DatabaseUnavailable):
    """Raised if a constraint of the database refuses a write. A run then fails its task: it
    would be refused again."""

    code = 'write_refused'

    def __init__(self) -> None:
        super(DatabaseUnavailable, self).__init__(
            'A constraint of the database refuses a write; the log of the service names it.'
        )


class PluginBroke(GlanceError):
    """Raised if a request needs a plug-in that does not work. The log has the reason."""

    code = 'plugin_broke'

    def __init__(self, plugin: str):
        super().__init__(
            f'The {plugin} of this service does not work; the log of the service says more.'
        )


class ConfigError(GlanceError):
    """Raised at the start for an unusable configuration. The sentence says what to change."""

    code = 'config'


class TaskFailed(GlanceError):
    """Raised if a task cannot succeed. The sentence becomes the message of the task."""

    code = 'task_failed'


class SourceFailed(TaskFailed):
    """Raised if a source does not send its file.

    lasting  whether the same request would fail again, however often it is sent
    """

    code = 'source_failed'
    lasting = True


class SourceRefused(SourceFailed):
    """Raised if the import filter refuses the URL of a source or one of its IP addresses."""

    code = 'source_refused'


class SourceUnresolved(SourceRefused):
    """Raised if the host of a source has no IP address now."""

    lasting = False


class SourceUnreachable(SourceFailed):
    """Raised if a source cannot be connected to, or stops sending."""

    code = 'source_unreachable'

    def __init__(self, sentence: str, *, lasting: bool = False):
        super().__init__(sentence)
        self.lasting = lasting


class FetchTooLong(SourceUnreachable):
    """Raised if a whole fetch, with all its retries, takes too long."""

    def __init__(self, source: str, seconds: float):
        super().__init__(
            f'{source} took longer than total_timeout allows ({seconds:g} seconds).', lasting=True
        )


class SourceBadResponse(SourceFailed):
    """Raised if a source responds with a status that carries no file.

    status       the status of the response
    retry_after  seconds after which the source wants to be asked again, or None
    redirect     identifies the URL that a redirect led to, if it was not the first one that
                 responded. The URL itself may be secret
    """

    code = 'source_answered'

    def __init__(self, source: str, status: int, reason: str, retry_after: float | None = None):
        super().__init__(f'{source} answered {status} {reason}'.rstrip() + '.')
        self.status = status
        self.retry_after = retry_after
        self.redirect: int | None = None
        self.lasting = status not in (408, 425, 429) and status < 500


class SourceEmpty(SourceFailed):
    """Raised if a source sends no bytes."""

    code = 'source_empty'

    def __init__(self, source: str):
        super().__init__(f'{source} sent an empty body; an image has at least one byte.')


class SizeMismatch(SourceFailed):
    """Raised if a source sends more or fewer bytes than it announced."""

    code = 'size_mismatch'
    lasting = False

    def __init__(self, announced: int, came: int):
        super().__init__(f'The source announced {announced} bytes but sent {came}.')


class SourceTooLarge(SourceFailed):
    """Raised if a source is larger than image_size_cap."""

    code = 'source_too_large'

    def __init__(self, cap: int):
        super().__init__(f'The source is larger than image_size_cap allows ({cap} bytes).')


class ChecksumMismatch(SourceFailed):
    """Raised if a source sends another file than the one that the user expects."""

    code = 'checksum_mismatch'

    def __init__(self, source: str, expected: str, actual: str):
        super().__init__(
            f'{source} sent a file whose checksum is {actual}, '
            f'but "import_checksum" is {expected}.'
        )


class SourcesGivenUp(SourceFailed):
    """Raised if no source sends the whole file, though all that may help was tried."""

    code = 'sources_given_up'


class FormatMismatch(TaskFailed):
    """Raised if the content does not have the disk_format, or is not safe to store."""

    code = 'format_mismatch'


class StorageFull(TaskFailed):
    """Raised if there is no space left in the staging area or in a store."""

    code = 'storage_full'

    def __init__(self, where: str):
        super().__init__(f'There is no space left in {where}.')


class StorageUnusable(TaskFailed):
    """Raised if a disk refuses what is done on it: read-only, damaged, without permission."""

    code = 'storage_unusable'

    def __init__(self, where: str, error: OSError):
        super().__init__(f'There is an error of {where}: {error.strerror}.')


class ImageGone(TaskFailed):
    """Raised if the image of a task was deleted while the task ran."""

    code = 'image_gone'

    def __init__(self, image_id: str):
        super().__init__(f'Image {image_id} was deleted while it was being imported.')


class Cancelled(TaskFailed):
    """Raised in a run whose task is to be cancelled."""

    code = 'cancelled'

    def __init__(self) -> None:
        super().__init__('The task was cancelled on request.')


class StagingChanged(TaskFailed):
    """Raised if the staged file is missing or differs from the bytes that were received."""

    code = 'staging_changed'

    def __init__(self) -> None:
        super().__init__('The staged bytes were removed or changed before they were stored.')


class AttemptsUsedUp(TaskFailed):
    """Raised if too many attempts in a row died or made no progress at the same step."""

    code = 'attempts_used_up'

    def __init__(self, attempts: int, step: str, last_death: str | None = None):
        last = f' The process that last ran it alone was ended by {last_death}.'
        super().__init__(
            f'Given up after {attempts} attempts. Each ended because its process died or made '
            f'no progress; none got further than step "{step}".{last if last_death else ""}'
        )


def made_of(error: BaseException | None) -> collections.abc.Iterator[BaseException]:
    """An error, and what it was made of, each once.

    An error that is raised again where one that was made of it is handled is its own cause.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
