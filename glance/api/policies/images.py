"""Rules for /v2/images. What a rule is asked about: see target()."""

from oslo_policy import policy

from glance.api.policies import base

_VISIBLE = (
    'project_id:%(project_id)s or project_id:%(member_id)s '
    'or "public":%(visibility)s or "community":%(visibility)s'
)
_READ = f'{base.ADMIN} or (role:reader and ({_VISIBLE}))'

RULES = [
    policy.DocumentedRuleDefault(
        'get_images',
        f'{base.ADMIN} or (role:reader and project_id:%(project_id)s)',
        'List images; get_image decides on each.',
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
        'Read the bytes of an image.',
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


def target(image):
    """An image as rules see it; project_id is its owner.

    What is different for each image is left out: most images of a list then
    look the same to a rule, which is asked once for all of them.
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
