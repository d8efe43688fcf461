"""The policy enforcer: all rules, and reading them from the operator's file."""

import contextlib
import difflib
import logging
import re
import time
import typing

from oslo_policy import opts, policy

from glance.api.policies import base, images, tasks
from glance.domain import errors

LOG = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 1.0  # so often the enforcer looks for changes of the policy files


def list_rules() -> list[policy.RuleDefault]:
    """All rules, for oslo.policy's generators."""
    return [*base.RULES, *images.RULES, *tasks.RULES]


def register_opts(conf: typing.Any) -> None:
    """Register the options of oslo.policy."""
    for group, options in opts.list_opts():
        conf.register_opts(options, group=group)


class Enforcer(policy.Enforcer):
    """oslo.policy's enforcer, which by itself looks at the files for each question.

    interval  seconds between two looks for changes of the policy files
    """

    _next_look = 0.0

    def __init__(self, conf: typing.Any, interval: float) -> None:
        super().__init__(conf)
        self._interval = interval

    def load_rules(self, force_reload: bool = False) -> None:
        now = time.monotonic()
        if force_reload or now >= self._next_look:
            self._next_look = now + self._interval
            try:
                super().load_rules(force_reload)
            except Exception as error:  # oslo.policy raises many kinds; the cause is the file
                if force_reload:
                    raise
                LOG.error('The policies stay as they were: %s', _one_line(error))


class _Misunderstood(logging.Filter):
    """Keeps oslo.policy's lines about rules that it cannot parse, and their tracebacks back."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def filter(self, record: logging.LogRecord) -> bool:
        self.found.append(_one_line(record.getMessage()))
        return False


class _WithoutTraceback(logging.Filter):
    """A rule that cannot be parsed is the operator's: its line in the log has no traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.exc_info = record.exc_text = None
        return True


_PARSER = logging.getLogger('oslo_policy._parser')
_PARSER.addFilter(_WithoutTraceback())


def _one_line(said: object) -> str:
    return ' '.join(str(said).split())


def build(conf: typing.Any, interval: float = SECONDS_BETWEEN_LOOKS) -> Enforcer:
    """The enforcer of a configuration. Raises ConfigError for an unusable policy file.

    interval  seconds between two looks for changes of the policy files

    If no file is configured and the default one does not exist, the default
    rules hold. A configured file that does not exist is an error: the operator
    would not know which rules hold.
    """
    enforcer = Enforcer(conf, interval)
    enforcer.register_defaults(list_rules())
    path = conf.oslo_policy.policy_file
    if _is_configured(conf) and not conf.find_file(path):
        raise errors.ConfigError(f'[oslo_policy] policy_file = {path} does not exist.')
    misunderstood = _Misunderstood()
    _PARSER.addFilter(misunderstood)
    with contextlib.ExitStack() as stack:
        stack.callback(_PARSER.removeFilter, misunderstood)
        try:
            enforcer.load_rules(force_reload=True)
        except Exception as error:  # oslo.policy raises many kinds; the cause is always the file
            raise errors.ConfigError(
                f'[oslo_policy] policy_file = {path}: {_one_line(error)}'
            ) from None
    if misunderstood.found:
        raise errors.ConfigError(
            f'[oslo_policy] policy_file = {path}: {"; ".join(misunderstood.found)}.'
        )
    _warn_of_unknown(enforcer, path)
    return enforcer


def _warn_of_unknown(enforcer: Enforcer, path: str) -> None:
    """Log the rules of the operator that nothing asks for, and no other rule refers to."""
    known = enforcer.registered_rules
    checks = ' '.join(str(check) for check in enforcer.rules.values())
    used = {*known, *re.findall(r'rule:([^\s()]+)', checks)}
    unknown = sorted(enforcer.file_rules.keys() - used)
    if not unknown:
        return
    meant = {name: difflib.get_close_matches(name, known, 1, 0.8) for name in unknown}
    LOG.warning(
        '[oslo_policy] policy_file = %s has rules that this service does not use: %s',
        path,
        ', '.join(
            f'{name} (did you mean {close[0]}?)' if close else name
            for name, close in meant.items()
        ),
    )


def _is_configured(conf: typing.Any) -> bool:
    """Whether the operator set policy_file."""
    location = conf.get_location('policy_file', 'oslo_policy').location
    return location.name not in ('opt_default', 'set_default')
