"""The input of an import: what its schema refuses, and in which words."""

import pytest

from glance.api import body
from glance.domain import errors
from glance.flows.import_image import ImportImage

GIVEN = {'import_from': 'http://a/b', 'import_from_format': 'raw', 'image_properties': {}}


def verify(what):
    body.verify(what, body.validator(ImportImage.input_schema), 'input')


@pytest.mark.parametrize(
    'more', [{}, {'import_from': [f'http://{number}' for number in range(10)]}]
)
def test_a_whole_input_fits(more):
    verify(GIVEN | more)
    verify(GIVEN | more | {'import_checksum': 'md5:'})


@pytest.mark.parametrize('missing', list(GIVEN))
def test_what_is_missing_is_named(missing):
    what = {name: value for name, value in GIVEN.items() if name != missing}
    with pytest.raises(errors.Invalid, match=f'^"input.{missing}" is missing.$'):
        verify(what)


@pytest.mark.parametrize(
    ('what', 'sentence'),
    [
        (None, '"input" must be an object.'),
        ([], '"input" must be an object.'),
        (GIVEN | {'checksum': 'x'}, '"input.checksum" is not known.'),
        (GIVEN | {'import_from': 7}, '"input.import_from" must be text or a list.'),
        (GIVEN | {'import_from': []}, '"input.import_from" must not be empty.'),
        (
            GIVEN | {'import_from': [f'http://{number}' for number in range(11)]},
            '"input.import_from" must have 10 items at most, not 11.',
        ),
        (GIVEN | {'import_from': ['http://a', 7]}, '"input.import_from.1" must be text.'),
        (GIVEN | {'import_from': ['http://a', '']}, '"input.import_from.1" must not be empty.'),
        (GIVEN | {'import_from': [['http://a']]}, '"input.import_from.0" must be text.'),
        (
            GIVEN | {'import_from': ['http://a', 'http://b', 'http://a']},
            '"input.import_from" must not have the same item twice.',
        ),
        (GIVEN | {'import_checksum': None}, '"input.import_checksum" must be text.'),
        (GIVEN | {'import_checksum': ['md5:']}, '"input.import_checksum" must be text.'),
        (GIVEN | {'import_from': ''}, '"input.import_from" must not be empty.'),
        (GIVEN | {'import_from_format': None}, '"input.import_from_format" must be text.'),
        (GIVEN | {'image_properties': []}, '"input.image_properties" must be an object.'),
        (GIVEN | {'image_properties': None}, '"input.image_properties" must be an object.'),
    ],
)
def test_bad_input_is_named_with_the_fact(what, sentence):
    with pytest.raises(errors.Invalid) as raised:
        verify(what)
    assert str(raised.value) == sentence
