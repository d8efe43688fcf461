"""Who may do what by default, one file per noun; operators change it in policy.yaml."""

import time

from oslo_policy import opts, policy

from glance.api.policies import base, images, tasks
from glance.domain import errors

SECONDS_BETWEEN_LOOKS = 1


def list_rules():
    """All rules, for oslo.policy's generators."""
    return [*base.RULES, *images.RULES, *tasks.RULES]


def register_opts(conf):
    for group, options in opts.list_opts():
        conf.register_opts(options, group=group)


def enforcer(conf):
    """What answers questions of policy. Raises ConfigError for a policy file that cannot be used.

    Without the file named by [oslo_policy] policy_file the defaults hold; but
    one that was named and is not there would leave an operator with rules they
    do not know of.
    """
    made = Enforcer(conf)
    made.register_defaults(list_rules())
    named = conf.oslo_policy.policy_file
    if _chosen(conf) and not conf.find_file(named):
        raise errors.ConfigError(f'[oslo_policy] policy_file = {named} does not exist.')
    try:
        made.load_rules(force_reload=True)
    except Exception as error:  # whatever it stumbles over lies in the file
        raise errors.ConfigError(f'[oslo_policy] policy_file = {named}: {error}') from None
    return made


def _chosen(conf):
    place = conf.get_location('policy_file', 'oslo_policy').location
    return place.name not in ('opt_default', 'set_default')


class Enforcer(policy.Enforcer):
    """oslo.policy's, which would look at the files again for each question it is asked."""

    _next_look = 0

    def load_rules(self, force_reload=False):
        now = time.monotonic()
        if force_reload or now >= self._next_look:
            self._next_look = now + SECONDS_BETWEEN_LOOKS
            super().load_rules(force_reload)
