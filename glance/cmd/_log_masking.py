"""Masks secrets in whatever is logged, tracebacks included.

Sentences of this service mask a URL where they are made. Exceptions of
libraries repeat values that they were given.
"""

import logging
import re

from glance.domain.import_filter import mask

# A URL in a text, without the punctuation that ends a sentence or brackets.
_URL = re.compile(r'[a-z][a-z0-9+.-]*://[^\s\'"<>\\]*[^\s\'"<>\\.,;:)\]}]', re.IGNORECASE)
# What is left of one whose password has a character at which _URL ends.
_PASSWORD = re.compile(r'([a-z][a-z0-9+.-]*://)[^\s/:@]*:[^\s@]*@', re.IGNORECASE)
# A server's quotes of a statement and of its values, in which a URL may be cut.
_QUOTED = re.compile(r'^(.*\b)?(DETAIL|CONTEXT|LINE \d+):.*$', re.MULTILINE)
_MAY_QUOTE = re.compile('DETAIL:|CONTEXT:|LINE ')  # quick: nearly no line has one


class Formatter(logging.Formatter):
    """Another formatter, whose text is masked."""

    def __init__(self, masked: logging.Formatter) -> None:
        super().__init__()
        self._masked = masked

    def format(self, record: logging.LogRecord) -> str:
        return mask_text(self._masked.format(record))


def mask_text(text: str) -> str:
    """A text without passwords in URLs, and without the values of queries."""
    if _MAY_QUOTE.search(text):
        text = _QUOTED.sub(r'\1\2: ***', text)
    if '://' not in text:
        return text
    text = _URL.sub(lambda found: mask(found[0]), text)
    return _PASSWORD.sub(r'\1***@', text)


def mask_handlers() -> None:
    """Mask what all handlers write, and let oslo.config not say how values have changed."""
    loggers = [logging.getLogger(), *map(logging.getLogger, logging.root.manager.loggerDict)]
    for handler in {handler for logger in loggers for handler in logger.handlers}:
        if not isinstance(handler.formatter, Formatter):
            handler.setFormatter(Formatter(handler.formatter or logging.Formatter()))
    logging.getLogger('oslo_config.cfg').addFilter(_is_no_change_of_a_value)


def _is_no_change_of_a_value(record: logging.LogRecord) -> bool:
    return ' changed from ' not in str(record.msg)
