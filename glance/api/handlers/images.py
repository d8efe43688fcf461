"""/v2/images, one function per URL and method. See glance/api/routes.py."""

import contextlib
import logging

import webob

from glance.api import body, query, ranges, sending
from glance.api.errors import handler
from glance.api.handlers.tasks import as_record, zulu
from glance.api.policies.images import target
from glance.domain import errors
from glance.domain.image import VISIBILITIES
from glance.domain.listing import Listing

LOG = logging.getLogger(__name__)

PATH = '/v2/images'
LISTED = ('id', 'name', 'status', 'container_format', 'disk_format')  # also as in:a,b
SORT_KEYS = (*LISTED, 'size', 'created_at', 'updated_at')
DIRECTIONS = ('asc', 'desc')
PAGING = ('limit', 'marker', 'sort', 'sort_key', 'sort_dir')
MEMBER_STATUSES = ('pending', 'accepted', 'rejected', 'all')


@handler
def index(req, services):
    """GET /v2/images: a page of images.

    200  the images and the links to other pages; policy may make a page shorter
    400  the query cannot be used
    403  policy says no
    """
    req.context.require('get_images')
    asked = req.read_query()
    listing = Listing(
        limit=asked.limit(req.settings),
        marker=asked.marker(),
        sort=_sort(asked),
        filters=_filters(asked),
    )
    found = services.images.list(listing, by=req.context.caller)
    return webob.Response(
        json={
            'images': [
                as_json(image) for image in found if req.context.allows('get_image', target(image))
            ],
            **asked.links(PATH, found, listing.limit),
            'schema': '/v2/schemas/images',
        }
    )


@handler
def show(req, services):
    """GET /v2/images/{image_id}: one image.

    200  the image
    400  there is a body
    404  there is no such image, or not for this caller
    """
    body.none(req)
    return webob.Response(json=as_json(_visible(req, services)))


@handler
def delete(req, services):
    """DELETE /v2/images/{image_id}: remove the image and its bytes.

    204  it is gone
    400  there is a body
    403  it is protected, or policy says no
    404  there is no such image, or not for this caller
    409  its state does not allow it
    """
    body.none(req)
    image = _visible(req, services)
    req.context.require('delete_image', target(image))
    services.images.delete(image.id, by=req.context.caller)
    LOG.info('Image %s deleted', image.id, extra={'action': 'image_deleted'})
    return webob.Response(status=204)


@handler
def tasks(req, services):
    """GET /v2/images/{image_id}/tasks: the tasks that worked on an image, whole.

    200  the tasks, newest first; perhaps none
    400  there is a body
    404  there is no such image, or not for this caller
    """
    body.none(req)
    image = _visible(req, services)
    found = services.tasks.of_image(image.id, by=req.context.caller)
    return webob.Response(json={'tasks': [as_record(task) for task in found]})


@handler
def download(req, services):
    """GET and HEAD /v2/images/{image_id}/file: the bytes of an image, or one range of them.

    200  all bytes; also when If-Range names other ones
    204  it has none yet
    206  the bytes of the Range, or of Content-Range, as old clients call it
    304  the caller has them: If-None-Match, If-Modified-Since
    400  there is a body, there are several ranges, or "prefer" is used
    403  it is deactivated, or policy says no
    404  there is no such image, or not for this caller
    416  the Range cannot be satisfied
    503  the store cannot be reached
    """
    body.none(req)
    if 'prefer' in req.read_query().names:
        raise errors.Invalid('"prefer" chooses among several stores; this service has one.')
    image = _visible(req, services)
    req.context.require('download_image', target(image))
    image, opened = services.images.open(image.id, by=req.context.caller)
    if opened is None:
        return webob.Response(status=204)
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(opened)
        answer = _described(image)
        if ranges.unchanged(req, answer):
            answer.status = 304
            answer.headers.pop('Content-Type')
            return answer
        wanted = ranges.asked(req, answer, image.size)
        first, last = wanted or (0, image.size - 1)
        if wanted:
            answer.status = 206
            answer.headers['Content-Range'] = f'bytes {first}-{last}/{image.size}'
        if image.checksum:
            answer.headers['Content-MD5'] = image.checksum
        if req.method == 'GET':
            answer.app_iter = sending.iterable(
                req.environ, file, first, last - first + 1, image.size, stack.pop_all()
            )
        answer.content_length = last - first + 1
        return answer


def _described(image):
    """An answer without its bytes, which never change: so the ETag is a strong one."""
    answer = webob.Response(content_type='application/octet-stream', charset=None)
    answer.headers['Accept-Ranges'] = 'bytes'
    answer.etag = image.os_hash_value or image.checksum
    answer.last_modified = image.updated_at
    return answer


def as_json(image):
    """An image as it is shown: its free properties stand beside the base ones."""
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


def _visible(req, services):
    """The image of the URL. Raises ImageNotFound also where policy does not let it be seen."""
    image_id = req.variables['image_id']
    image = services.images.get(image_id, by=req.context.caller)
    if not req.context.allows('get_image', target(image)):
        raise errors.ImageNotFound(image_id)
    return image


def _sort(asked):
    """The (key, direction) pairs of "sort", or of "sort_key" and "sort_dir"."""
    short, keys, directions = (asked.all(name) for name in ('sort', 'sort_key', 'sort_dir'))
    if short and (keys or directions):
        raise errors.Invalid('"sort" cannot be used together with "sort_key" or "sort_dir".')
    if short:
        parts = [part.partition(':') for part in ','.join(short).split(',')]
        pairs = [(key.strip(), way.strip() if colon else 'desc') for key, colon, way in parts]
    else:
        keys = keys or ['created_at']
        directions = directions or ['desc']
        if len(directions) not in (1, len(keys)):
            raise errors.Invalid(
                '"sort_dir" must be given once, or once for each "sort_key"; there are '
                f'{len(keys)} keys and {len(directions)} directions.'
            )
        if len(directions) == 1:
            directions = directions * len(keys)
        pairs = list(zip(keys, directions, strict=True))
    for key, direction in pairs:
        if key not in SORT_KEYS:
            raise errors.Invalid(
                f'A sort key must be one of {", ".join(SORT_KEYS)}, not "{key[:80]}".'
            )
        if direction not in DIRECTIONS:
            raise errors.Invalid(f'A sort direction must be asc or desc, not "{direction[:80]}".')
    unique = {}  # of a key that is repeated only the first has an effect
    for key, direction in pairs:
        unique.setdefault(key, direction)
    return tuple(unique.items())


def _filters(asked):
    filters = {'os_hidden': False}
    properties = {}
    for name in asked.names:
        if name in PAGING:
            continue
        rule = _RULES.get(name)
        if rule is None:
            properties[name] = asked.one(name)
        else:
            filters |= rule(asked, name)
    return filters | ({'properties': properties} if properties else {})


def _one_or_listed(asked, name):
    value = asked.one(name)
    if value.startswith('in:'):
        return {name: query.listed(name, value[3:])}
    how, value = query.comparison(value)
    if how != 'eq':
        raise errors.Invalid(f'"{name}" can be filtered by a value or by in:, not by {how}:.')
    return {name: value}


def _equal(asked, name):
    return {name: asked.one(name)}


def _visibility(asked, name):
    return {name: asked.choice(name, (*VISIBILITIES, 'all'))}


def _member_status(asked, name):
    asked.choice(name, MEMBER_STATUSES)
    return {}  # nothing is shared with members yet


def _hidden(asked, name):
    value = asked.one(name)
    if value.lower() not in ('true', 'false'):
        raise errors.Invalid(f'"{name}" must be true or false, not "{value[:80]}".')
    return {name: value.lower() == 'true'}


def _protected(asked, name):
    return {name: asked.choice(name, ('true', 'false')) == 'true'}


def _tags(asked, name):
    return {name: asked.all(name)}


def _size(asked, name):
    return {name: asked.size(name)}


def _time(asked, name):
    how, value = query.comparison(asked.one(name))
    return {name: (how, query.time(name, value))}


def _refused(asked, name):
    raise errors.Invalid(f'"{name}" is not supported; updated_at=gte: comes close.')


_RULES = {
    **dict.fromkeys(LISTED, _one_or_listed),
    'owner': _equal,
    'visibility': _visibility,
    'member_status': _member_status,
    'os_hidden': _hidden,
    'protected': _protected,
    'tag': _tags,
    'size_min': _size,
    'size_max': _size,
    'created_at': _time,
    'updated_at': _time,
    'changes-since': _refused,
}
