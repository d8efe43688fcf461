"""The policy enforcer: all rules, and reading them from the operator's file."""

import time
import typing

from oslo_policy import opts, policy

from glance.api.policies import base, images, tasks
from glance.domain import errors

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
            super().load_rules(force_reload)


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
    try:
        enforcer.load_rules(force_reload=True)
    except Exception as error:  # oslo.policy raises many kinds; the cause is always the file
        raise errors.ConfigError(f'[oslo_policy] policy_file = {path}: {error}') from None
    return enforcer


def _is_configured(conf: typing.Any) -> bool:
    """Whether the operator set policy_file."""
    location = conf.get_location('policy_file', 'oslo_policy').location
    return location.name not in ('opt_default', 'set_default')
