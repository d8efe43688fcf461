"""The import task: what its input must look like, and the work it becomes."""

import dataclasses
import typing
import uuid

from glance.domain import errors, image
from glance.domain.caller import Caller

REQUIRED = ('import_from', 'import_from_format', 'image_properties')


@dataclasses.dataclass(frozen=True)
class ImportWork:
    """All that decides the result of an import, fixed at POST, plain data.

    properties  base fields and 'properties', as image.check() returns them
    """

    image_id: str
    import_from: str
    owner: str | None
    store: str
    properties: dict[str, typing.Any]

    def as_dict(self) -> dict[str, typing.Any]:
        return dataclasses.asdict(self)


def parse(given: typing.Any, limits: image.Limits, *, by: Caller, store: str) -> ImportWork:
    """The work that an import task's input asks for.

    Raises Invalid, Forbidden or TooLarge with a sentence that names the field.
    """
    if not isinstance(given, dict):
        raise errors.Invalid('"input" must be an object.')
    for name in REQUIRED:
        if name not in given:
            raise errors.Invalid(f'"input.{name}" is missing.')
    for name in given:
        if name not in REQUIRED:
            raise errors.Invalid(
                f'"input.{name}" is not known; an import takes {", ".join(REQUIRED)}.'
            )
    source = given['import_from']
    if not isinstance(source, str) or not source:
        raise errors.Invalid('"input.import_from" must be the address of the source, as text.')
    wanted = given['image_properties']
    if not isinstance(wanted, dict):
        raise errors.Invalid('"input.image_properties" must be an object.')
    fields = image.check(wanted, limits, field='input.image_properties')
    source_format = _source_format(given['import_from_format'], limits)
    disk_format = fields.setdefault('disk_format', source_format)
    fields.setdefault('container_format', 'bare')
    for name in ('disk_format', 'container_format'):
        if fields[name] is None:
            raise errors.Invalid(f'"input.image_properties.{name}" must not be null.')
    if disk_format != source_format:
        raise errors.Invalid(
            f'"input.image_properties.disk_format" is {disk_format} but '
            f'"input.import_from_format" is {source_format}; nothing is converted.'
        )
    return ImportWork(
        image_id=fields.pop('id', None) or str(uuid.uuid4()),
        import_from=source,
        owner=_owner(fields, by),
        store=store,
        properties=fields,
    )


def _source_format(given: typing.Any, limits: image.Limits) -> str:
    if not isinstance(given, str) or given not in limits.disk_formats:
        raise errors.Invalid(
            f'"input.import_from_format" must be one of {", ".join(limits.disk_formats)}.'
        )
    return given


def _owner(fields: dict[str, typing.Any], by: Caller) -> str | None:
    owner = fields.pop('owner', by.project_id)
    if owner != by.project_id and not by.is_admin:
        raise errors.Forbidden(
            '"input.image_properties.owner" can be set by an administrator only.'
        )
    return typing.cast('str | None', owner)
