"""/v2/images, one function per URL and method. See glance/api/routes.py."""

import contextlib
import logging
import typing

import webob

from glance.api import body, ranges, sending
from glance.api.errors import handler
from glance.api.listings import images as listings
from glance.api.policies.images import target
from glance.api.request import Request
from glance.api.views import images as views
from glance.api.views import tasks as task_views
from glance.domain import errors
from glance.domain.image import Image
from glance.services import Services

LOG = logging.getLogger(__name__)


@handler
def index(req: Request, services: Services) -> webob.Response:
    """GET /v2/images: a page of images.

    200  the images and the links to other pages; policy may make a page shorter
    400  the query cannot be used
    403  policy does not allow it
    """
    req.context.require('get_images')
    fields = req.read_query()
    listing = listings.read(fields, req.settings)
    images = services.images.list(listing, by=req.context.caller)
    return webob.Response(
        json={
            'images': [
                views.as_json(image)
                for image in images
                if req.context.allows('get_image', target(image))
            ],
            **fields.links(views.PATH, images, listing.limit),
            'schema': '/v2/schemas/images',
        }
    )


@handler
def show(req: Request, services: Services) -> webob.Response:
    """GET /v2/images/{image_id}: one image.

    200  the image
    400  there is a body
    404  there is no such image, or this caller may not see it
    """
    body.require_empty(req)
    return webob.Response(json=views.as_json(_visible(req, services)))


@handler
def delete(req: Request, services: Services) -> webob.Response:
    """DELETE /v2/images/{image_id}: remove the image and its bytes.

    204  the image is removed
    400  there is a body
    403  the image is protected, or policy does not allow it
    404  there is no such image, or this caller may not see it
    409  the status of the image does not allow it
    """
    body.require_empty(req)
    image = _visible(req, services)
    req.context.require('delete_image', target(image))
    services.images.delete(image.id, by=req.context.caller)
    LOG.info('Image %s deleted', image.id, extra={'action': 'image_deleted'})
    return webob.Response(status=204)


@handler
def tasks(req: Request, services: Services) -> webob.Response:
    """GET /v2/images/{image_id}/tasks: the tasks that worked on an image, with all fields.

    200  the tasks, newest first; the list may be empty
    400  there is a body
    404  there is no such image, or this caller may not see it
    """
    body.require_empty(req)
    image = _visible(req, services)
    found = services.tasks.of_image(image.id, by=req.context.caller)
    return webob.Response(json={'tasks': [task_views.as_record(task) for task in found]})


@handler
def download(req: Request, services: Services) -> webob.Response:
    """GET and HEAD /v2/images/{image_id}/file: the bytes of an image, or one range of them.

    200  all bytes; also when If-Range names other bytes, or for several ranges
    204  the image has no bytes yet
    206  the bytes that Range names, or Content-Range, which old clients send instead
    304  the caller has the bytes, by If-None-Match or If-Modified-Since
    400  there is a body, or "prefer" is used
    403  the image is deactivated, or policy does not allow it
    404  there is no such image, or this caller may not see it
    412  the image has other bytes than If-Match or If-Unmodified-Since asks for
    416  the Range cannot be satisfied
    503  the store cannot be reached, or what it has is not the whole image
    """
    body.require_empty(req)
    if 'prefer' in req.read_query().names:
        raise errors.Invalid('"prefer" chooses among several stores; this service has one.')
    image = _visible(req, services)
    req.context.require('download_image', target(image))
    image, opened = services.images.open(image.id, by=req.context.caller)
    if opened is None:
        response = webob.Response(status=204)
        ranges.verify_wanted(req, response)
        return response
    size = typing.cast(int, image.size)  # known of every image that has bytes
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(opened)
        response = _file_response(image)
        ranges.verify_wanted(req, response)
        if ranges.not_modified(req, response):
            response.status = 304
            response.headers.pop('Content-Type')
            return response
        byte_range = ranges.requested_range(req, response, size)
        first, last = byte_range or (0, size - 1)
        if byte_range:
            response.status = 206
            response.headers['Content-Range'] = f'bytes {first}-{last}/{size}'
        if image.checksum:
            response.headers['Content-MD5'] = image.checksum
        if req.method == 'GET':
            response.app_iter = sending.iterable(
                req.environ, file, first, last - first + 1, size, stack.pop_all()
            )
        response.content_length = last - first + 1
        return response


def _file_response(image: Image) -> webob.Response:
    """A response without its bytes. The bytes never change, so the ETag is a strong one."""
    response = webob.Response(content_type='application/octet-stream', charset=None)
    response.headers['Accept-Ranges'] = 'bytes'
    response.etag = image.os_hash_value or image.checksum
    response.last_modified = image.updated_at
    return response


def _visible(req: Request, services: Services) -> Image:
    """The image of the URL. Raises ImageNotFound also where policy hides the image."""
    image_id = req.variables['image_id']
    image = services.images.get(image_id, by=req.context.caller)
    if not req.context.allows('get_image', target(image)):
        raise errors.ImageNotFound(image_id)
    return image
