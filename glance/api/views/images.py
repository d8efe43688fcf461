"""The JSON form of an image."""

import typing

from glance.api.views.times import zulu
from glance.domain.image import Image

PATH = '/v2/images'


def as_json(image: Image) -> dict[str, typing.Any]:
    """An image. Its free properties are shown beside the base ones."""
    path = f'{PATH}/{image.id}'
    return image.properties | {
        'id': image.id,
        'name': image.name,
        'status': image.status,
        'visibility': image.visibility,
        'owner': image.owner,
        'protected': image.protected,
        'os_hidden': image.os_hidden,
        'container_format': image.container_format,
        'disk_format': image.disk_format,
        'min_disk': image.min_disk,
        'min_ram': image.min_ram,
        'size': image.size,
        'virtual_size': image.virtual_size,
        'checksum': image.checksum,
        'os_hash_algo': image.os_hash_algo,
        'os_hash_value': image.os_hash_value,
        'created_at': zulu(image.created_at),
        'updated_at': zulu(image.updated_at),
        'tags': image.tags,
        'self': path,
        'file': f'{path}/file',
        'schema': '/v2/schemas/image',
    }
