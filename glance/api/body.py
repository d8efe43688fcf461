"""Request bodies: reading them within limits, and checking them against a schema."""

import collections.abc
import json
import math
import typing

import jsonschema
import referencing

from glance.api.errors import HTTPError
from glance.api.request import Request
from glance.domain import errors

# Digits of a whole number. int() refuses thousands of digits with a message of its own.
MAX_NUMBER_DIGITS = 40
# Nested lists and objects. json and jsonschema recurse, and Python limits the recursion.
MAX_DEPTH = 100
JSON = 'application/json'

# The WSGI environment's key for the largest body in bytes.
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


Validator: typing.TypeAlias = jsonschema.Draft202012Validator


def validator(schema: collections.abc.Mapping[str, typing.Any]) -> Validator:
    """A validator of a schema, which fetches no schema from elsewhere."""
    return Validator(schema, registry=referencing.Registry())


def read(req: Request, schema: Validator) -> typing.Any:
    """The JSON body of a request. Raises Invalid if it does not fit the schema.

    A web page can make a browser post to this service, but not with this
    Content-Type. Every other Content-Type is refused before the body is read.
    """
    _require_json(req)
    data = _bytes(req)
    if not data:
        raise errors.Invalid('The body is missing.')
    return _parsed(data, schema)


def read_optional(req: Request, schema: Validator) -> typing.Any:
    """As read(), but an empty object if there is no body."""
    chunked = 'HTTP_TRANSFER_ENCODING' in req.environ
    if not req.content_length and not chunked:
        return {}
    _require_json(req)
    data = _bytes(req)
    return _parsed(data, schema) if data else {}


def _parsed(data: bytes, schema: Validator) -> typing.Any:
    value = _parse(data)
    verify(value, schema)
    return value


def verify(value: typing.Any, schema: Validator, *field: str) -> None:
    """Raises Invalid if a value does not fit a schema.

    field  where in the body the value is; the sentence names it
    """
    error = next(schema.iter_errors(value), None)
    if error is not None:
        raise errors.Invalid(_sentence(error, field))


def require_empty(req: Request) -> None:
    """Raises Invalid if the request has a body."""
    chunked = 'HTTP_TRANSFER_ENCODING' in req.environ
    if req.content_length or (chunked and _take(req, 1)):
        raise errors.Invalid('This call takes no body.')


def _require_json(req: Request) -> None:
    if req.content_type.lower() != JSON:
        raise HTTPError(415, f'The Content-Type must be {JSON}.')


def _bytes(req: Request) -> bytes:
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
    return data


def _take(req: Request, count: int) -> bytes:
    """The next bytes of the body: count of them, or fewer if the body ends."""
    stream = req.environ['wsgi.input']
    pieces = []
    try:
        while count > 0 and (piece := stream.read(count)):
            pieces.append(piece)
            count -= len(piece)
    except Exception:  # servers raise their own when the client is gone or chunks are malformed
        raise errors.Invalid('The body cannot be read to its end.') from None
    return b''.join(pieces)


def too_large(limit: int) -> errors.TooLarge:
    return errors.TooLarge(f'The body is larger than {limit} bytes (max_json_body_size).')


def _parse(data: bytes) -> typing.Any:
    try:
        text = data.decode('utf-8-sig')  # some editors and shells begin a file with a mark
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
    if text.count('[') + text.count('{') > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise _too_deep()
    if '\\ud' in text or '\\uD' in text:
        _whole_characters(value)
    return value


def _refuse(constant: str) -> typing.NoReturn:
    raise ValueError(f'{constant} is not a number')


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError('a number is too large')
    return number


def _whole(text: str) -> int:
    if len(text) > MAX_NUMBER_DIGITS:
        raise ValueError('a number is too large')
    return int(text)


def _too_deep() -> errors.Invalid:
    return errors.Invalid(f'The body has more than {MAX_DEPTH} levels of lists and objects.')


def _depth(value: typing.Any) -> int:
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, list | dict)]:
        depth += 1
        level = [
            inner
            for item in level
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
    return depth


def _whole_characters(value: typing.Any) -> None:
    """Raises Invalid for half a surrogate pair: such a text cannot be stored or sent."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise errors.Invalid('The body holds half a surrogate pair.') from None


def _sentence(error: jsonschema.ValidationError, within: tuple[str, ...]) -> str:
    """An error of jsonschema in our words. Its own message repeats the value at full length."""
    path = '.'.join((*within, *(str(part) for part in error.absolute_path)))[:80]
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
        case 'minLength' | 'minItems' if rule == 1:
            return f'{field} must not be empty.'
        case 'maxItems':
            return f'{field} must have {rule} items at most, not {len(error.instance)}.'
        case 'uniqueItems':
            return f'{field} must not have the same item twice.'
        case 'enum':
            return f'{field} must be one of {", ".join(map(str, rule))}.'
        case _:
            return f'{field} does not fit the rule {error.validator}: {str(rule)[:200]}.'
