"""Rules for /v2/images. target() has the fields that they can use."""

import typing

from oslo_policy import policy

from glance.api.policies import base
from glance.domain.image import VISIBLE_TO_ALL, Image

_VISIBLE = ' or '.join(
    (
        'project_id:%(project_id)s',
        'project_id:%(member_id)s',
        *(f'"{visibility}":%(visibility)s' for visibility in VISIBLE_TO_ALL),
    )
)
_READ = f'{base.ADMIN} or (role:reader and ({_VISIBLE}))'

RULES = [
    policy.DocumentedRuleDefault(
        'get_images',
        f'{base.ADMIN} or (role:reader and project_id:%(project_id)s)',
        'List images. A list shows only the images that get_image allows.',
        [{'path': '/v2/images', 'method': 'GET'}],
    ),
    policy.DocumentedRuleDefault(
        'get_image',
        _READ,
        'See an image.',
        [
            {'path': '/v2/images/{image_id}', 'method': 'GET'},
            {'path': '/v2/images/{image_id}/tasks', 'method': 'GET'},
        ],
    ),
    policy.DocumentedRuleDefault(
        'download_image',
        f'{base.ADMIN} or (role:member and ({_VISIBLE}))',
        'Download the bytes of an image.',
        [
            {'path': '/v2/images/{image_id}/file', 'method': 'GET'},
            {'path': '/v2/images/{image_id}/file', 'method': 'HEAD'},
        ],
    ),
    policy.DocumentedRuleDefault(
        'delete_image',
        base.ADMIN_OR_MEMBER_OF_OWNER,
        'Delete an image.',
        [{'path': '/v2/images/{image_id}', 'method': 'DELETE'}],
    ),
]


def target(image: Image) -> dict[str, typing.Any]:
    """The fields of an image that rules can use. project_id is its owner.

    Fields that differ for every image are left out. Most images of a list then
    have the same target, and a rule is evaluated once for all of them.
    """
    return {
        'project_id': image.owner,
        'owner': image.owner,
        'status': image.status,
        'visibility': image.visibility,
        'protected': image.protected,
        'os_hidden': image.os_hidden,
        'disk_format': image.disk_format,
        'container_format': image.container_format,
    }
