"""The import task: checking its input, and making the work of it."""

import dataclasses
import typing
import uuid

from glance.domain import errors, image
from glance.domain.caller import Caller
from glance.domain.checksum import Checksum

INPUT_SCHEMA = {
    'type': 'object',
    'required': ['import_from', 'import_from_format', 'image_properties'],
    'additionalProperties': False,
    'properties': {
        'import_from': {
            'type': ['string', 'array'],
            'minLength': 1,
            'items': {'type': 'string', 'minLength': 1},
            'minItems': 1,
            'maxItems': 10,
            'uniqueItems': True,
            'description': 'URL of the source, with the scheme http or https; or a list of '
            'URLs of the same file, which are asked in this order.',
        },
        'import_checksum': {
            'type': 'string',
            'description': 'Checksum that the file must have: sha256, sha512 or md5, a colon, '
            'and the digest in hexadecimal.',
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

    import_from      URLs of the same file
    import_checksum  a Checksum as text, or None
    properties       base fields and 'properties', as image.validate_properties() returns them
    """

    image_id: str
    import_from: list[str]
    import_checksum: str | None
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
    urls = given['import_from']
    return ImportWork(
        image_id=fields.pop('id', None) or str(uuid.uuid4()),
        import_from=[urls] if isinstance(urls, str) else urls,
        import_checksum=_checksum(given.get('import_checksum')),
        owner=_owner(fields, by),
        store=store,
        properties=fields,
    )


def upgrade(work: dict[str, typing.Any], version: int) -> dict[str, typing.Any]:
    """The work of an import as it is today, made of that of an earlier flow version."""
    urls = work['import_from']
    if isinstance(urls, str):  # there was one source, and no checksum
        work |= {'import_from': [urls], 'import_checksum': None}
    return work


def _checksum(given: str | None) -> str | None:
    try:
        return None if given is None else str(Checksum.parse(given))
    except ValueError as fact:
        raise errors.Invalid(f'"input.import_checksum" {fact}.') from None


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
