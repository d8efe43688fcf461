"""The import task: checking its input, and making the work of it."""

import dataclasses
import typing
import uuid

from glance.domain import errors, image
from glance.domain.caller import Caller

INPUT_SCHEMA = {
    'type': 'object',
    'required': ['import_from', 'import_from_format', 'image_properties'],
    'additionalProperties': False,
    'properties': {
        'import_from': {
            'type': 'string',
            'minLength': 1,
            'description': 'URL of the source, with the scheme http or https.',
        },
        'import_from_format': {
            'type': 'string',
            'description': 'Disk format of the source, for example qcow2 or raw.',
        },
        'image_properties': {
            'type': 'object',
            'description': 'Properties of the new image, as in /v2/schemas/image.',
        },
    },
}


@dataclasses.dataclass(frozen=True)
class ImportWork:
    """Plain data that decides the result of an import. POST fixes it.

    properties  base fields and 'properties', as image.validate_properties() returns them
    """

    image_id: str
    import_from: str
    owner: str | None
    store: str
    properties: dict[str, typing.Any]

    def as_dict(self) -> dict[str, typing.Any]:
        return dataclasses.asdict(self)


def parse(
    given: dict[str, typing.Any], limits: image.Limits, *, by: Caller, store: str
) -> ImportWork:
    """The work of an import task with this input, which fits INPUT_SCHEMA.

    Raises Invalid, Forbidden or TooLarge; the sentence names the field.
    """
    fields = image.validate_properties(
        given['image_properties'], limits, field='input.image_properties'
    )
    source_format = _source_format(given['import_from_format'], limits)
    # The content is judged by the disk_format: nothing is converted.
    fields.setdefault('disk_format', source_format)
    fields.setdefault('container_format', 'bare')
    for name in ('disk_format', 'container_format'):
        if fields[name] is None:
            raise errors.Invalid(f'"input.image_properties.{name}" must not be null.')
    return ImportWork(
        image_id=fields.pop('id', None) or str(uuid.uuid4()),
        import_from=given['import_from'],
        owner=_owner(fields, by),
        store=store,
        properties=fields,
    )


def _source_format(given: str, limits: image.Limits) -> str:
    if given not in limits.disk_formats:
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
