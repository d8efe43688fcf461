"""Request bodies: read within limits, and checked against a schema."""

import json
import math

import jsonschema

from glance.api.errors import HTTPError
from glance.domain import errors

LONGEST_NUMBER = 40  # digits; int() refuses thousands in words of its own
DEEPEST = 100  # levels; what json and jsonschema call recursively must end long before
JSON = 'application/json'

LIMIT = 'glance.longest_body'

_KINDS = {
    'object': 'an object',
    'array': 'a list',
    'string': 'text',
    'integer': 'a whole number',
    'number': 'a number',
    'boolean': 'true or false',
    'null': 'null',
}


def validator(schema):
    """A schema made ready, once, at import."""
    return jsonschema.Draft202012Validator(schema)


def read(req, schema):
    """The JSON body of a request, as schema (made by validator()) wants it.

    A web page can make a browser post to us without being asked, but not with
    this Content-Type; so another one is refused before anything is read.
    """
    if req.content_type.lower() != JSON:
        raise HTTPError(415, f'The Content-Type must be {JSON}.')
    value = _parse(_bytes(req))
    error = next(schema.iter_errors(value), None)
    if error is not None:
        raise errors.Invalid(_sentence(error))
    return value


def none(req):
    """Refuse a body where there must be none."""
    chunked = 'HTTP_TRANSFER_ENCODING' in req.environ
    if req.content_length or (chunked and _take(req, 1)):
        raise errors.Invalid('This call takes no body.')


def _bytes(req):
    limit = req.environ[LIMIT]
    if req.content_length is not None:
        data = _take(req, req.content_length)
        if len(data) < req.content_length:
            raise errors.Invalid('The body ends before its Content-Length.')
    elif 'HTTP_TRANSFER_ENCODING' in req.environ:
        data = _take(req, limit + 1)
        if len(data) > limit:
            raise too_large(limit)
    else:
        data = b''
    if not data:
        raise errors.Invalid('The body is missing.')
    return data


def _take(req, count):
    """So many bytes of the body, or fewer if it ends before."""
    stream = req.environ['wsgi.input']
    pieces = []
    try:
        while count > 0 and (piece := stream.read(count)):
            pieces.append(piece)
            count -= len(piece)
    except (OSError, ValueError):  # the client is gone, or its chunks are malformed
        raise errors.Invalid('The body cannot be read to its end.') from None
    return b''.join(pieces)


def too_large(limit):
    return errors.TooLarge(f'The body is larger than {limit} bytes (max_json_body_size).')


def _parse(data):
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise errors.Invalid(f'The body is not UTF-8: byte {error.start} is wrong.') from None
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite, parse_int=_whole)
    except RecursionError:
        raise _too_deep() from None
    except json.JSONDecodeError as error:
        raise errors.Invalid(
            f'The body is not JSON: {error.msg} (line {error.lineno}, column {error.colno}).'
        ) from None
    except ValueError as error:
        raise errors.Invalid(f'The body is not JSON: {error}.') from None
    if text.count('[') + text.count('{') > DEEPEST and _depth(value) > DEEPEST:
        raise _too_deep()
    if '\\ud' in text or '\\uD' in text:
        _whole_characters(value)
    return value


def _refuse(constant):
    raise ValueError(f'{constant} is not a number')


def _finite(text):
    number = float(text)
    if math.isinf(number):
        raise ValueError('a number is too large')
    return number


def _whole(text):
    if len(text) > LONGEST_NUMBER:
        raise ValueError('a number is too large')
    return int(text)


def _too_deep():
    return errors.Invalid(f'The body has more than {DEEPEST} levels of lists and objects.')


def _depth(value):
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, list | dict)]:
        depth += 1
        level = [
            inner
            for item in level
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
    return depth


def _whole_characters(value):
    """No text can be stored or sent that holds half a surrogate pair."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise errors.Invalid('The body holds half a surrogate pair.') from None


def _sentence(error):
    """What jsonschema found, in our words; its own repeat the value, however long."""
    path = '.'.join(str(part) for part in error.absolute_path)[:80]
    field = f'"{path}"' if path else 'The body'
    rule = error.validator_value
    match error.validator:
        case 'type':
            kinds = [rule] if isinstance(rule, str) else rule
            return f'{field} must be {" or ".join(_KINDS[kind] for kind in kinds)}.'
        case 'required':
            missing = next(name for name in rule if name not in error.instance)
            return f'"{".".join(filter(None, (path, missing)))}" is missing.'
        case 'additionalProperties':
            unknown = next(
                name for name in error.instance if name not in error.schema['properties']
            )
            return f'"{".".join(filter(None, (path, unknown[:80])))}" is not known.'
        case 'enum':
            return f'{field} must be one of {", ".join(map(str, rule))}.'
        case _:
            return f'{field} does not fit the rule {error.validator}: {str(rule)[:200]}.'
