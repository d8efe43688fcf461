"""Every error this service raises on purpose.

    GlanceError
      Invalid           what the caller sent cannot be accepted
      Forbidden         policy or a reserved name says no
      NotFound          TaskNotFound, ImageNotFound
      Conflict          WrongTransition, ImageExists, ForeignFile
      TooLarge          a body or a number of things over its limit
      RangeNotSatisfiable
      Unavailable       DatabaseUnavailable: try again later
      ConfigError       the configuration cannot be served: stops the start
      ImportFailed      SourceRefused, SourceUnreachable, SourceAnswered, SourceEmpty,
                        SizeMismatch, SourceTooLarge, FormatMismatch, StorageFull,
                        StagingChanged, ImageGone, Cancelled, AttemptsUsedUp: kept on
                        the task

Which HTTP status each becomes is for glance/api/errors.py to say. How a run is
stopped without an error is in glance/domain/lease.py.
"""


class GlanceError(Exception):
    """The root. str() of each is one sentence that a user may read."""

    code = 'error'


class Invalid(GlanceError):
    """What the caller sent cannot be accepted; the sentence names the field."""

    code = 'invalid'


class Forbidden(GlanceError):
    """The caller may not do this."""

    code = 'forbidden'


class NotFound(GlanceError):
    """There is no such thing, or the caller may not see it."""

    code = 'not_found'


class TaskNotFound(NotFound):
    code = 'task_not_found'

    def __init__(self, task_id: str):
        super().__init__(f'There is no task {task_id}.')


class ImageNotFound(NotFound):
    code = 'image_not_found'

    def __init__(self, image_id: str):
        super().__init__(f'There is no image {image_id}.')


class Conflict(GlanceError):
    """The thing is not in a state that allows this."""

    code = 'conflict'


class WrongTransition(Conflict):
    """A task or image was told to take a status out of its reach."""

    code = 'wrong_transition'  # clients may compare it: never reword

    def __init__(self, what: str, now: str, wanted: str):
        super().__init__(f'{what} is {now}; it cannot become {wanted}.')
        self.now = now
        self.wanted = wanted


class ImageExists(Conflict):
    code = 'image_exists'

    def __init__(self, image_id: str):
        super().__init__(f'An image with the id {image_id} exists already.')


class ForeignFile(Conflict):
    """A file stands where only this run may write."""

    code = 'foreign_file'

    def __init__(self, name: str):
        super().__init__(f'Something this task did not make is already stored as {name}.')


class TooLarge(GlanceError):
    code = 'too_large'


class RangeNotSatisfiable(GlanceError):
    code = 'range_not_satisfiable'


class Unavailable(GlanceError):
    """Nothing is wrong with the request; try again later."""

    code = 'unavailable'


class DatabaseUnavailable(Unavailable):
    code = 'database_unavailable'

    def __init__(self) -> None:
        super().__init__('The database cannot be reached or is full; try again later.')


class ConfigError(GlanceError):
    """The service cannot start like this; the sentence says what to change."""

    code = 'config'


class ImportFailed(GlanceError):
    """An import ended without an image. The sentence becomes the task's message."""

    code = 'import_failed'


class SourceRefused(ImportFailed):
    """The import filter or the address check says no."""

    code = 'source_refused'


class SourceUnreachable(ImportFailed):
    code = 'source_unreachable'


class SourceAnswered(ImportFailed):
    """The source answered, but not with a file."""

    code = 'source_answered'

    def __init__(self, source: str, status: int, reason: str):
        super().__init__(f'{source} answered {status} {reason}'.rstrip() + '.')
        self.status = status


class SourceEmpty(ImportFailed):
    code = 'source_empty'

    def __init__(self, source: str):
        super().__init__(f'{source} sent an empty body; an image has at least one byte.')


class SizeMismatch(ImportFailed):
    code = 'size_mismatch'

    def __init__(self, announced: int, came: int):
        super().__init__(f'The source announced {announced} bytes but sent {came}.')


class SourceTooLarge(ImportFailed):
    code = 'source_too_large'

    def __init__(self, cap: int):
        super().__init__(f'The source is larger than image_size_cap allows ({cap} bytes).')


class FormatMismatch(ImportFailed):
    """The content is not what disk_format says, or not safe to store."""

    code = 'format_mismatch'


class StorageFull(ImportFailed):
    code = 'storage_full'

    def __init__(self, where: str):
        super().__init__(f'There is no space left in {where}.')


class ImageGone(ImportFailed):
    code = 'image_gone'

    def __init__(self, image_id: str):
        super().__init__(f'Image {image_id} was deleted while it was being imported.')


class Cancelled(ImportFailed):
    code = 'cancelled'

    def __init__(self) -> None:
        super().__init__('The task was cancelled on request.')


class StagingChanged(ImportFailed):
    """The staged file is not what was received."""

    code = 'staging_changed'

    def __init__(self) -> None:
        super().__init__('The staged bytes were removed or changed before they were stored.')


class AttemptsUsedUp(ImportFailed):
    """The processes that ran this task died, or it hung, too often at the same place."""

    code = 'attempts_used_up'

    def __init__(self, attempts: int, step: str):
        super().__init__(
            f'Given up after {attempts} attempts that ended with the death of their '
            f'process or in a standstill, and got no further than step "{step}".'
        )
