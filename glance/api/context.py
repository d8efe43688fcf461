"""Who makes a request, and what policy lets them do."""

from oslo_context import context

from glance.domain import errors
from glance.domain.caller import Caller


class RequestContext(context.RequestContext):
    """oslo.context's, so that log lines carry the request id; and it can ask policy."""

    def __init__(self, enforcer, **facts):
        super().__init__(resource_uuid='-', **facts)  # of log lines: the task, if there is one
        self._enforcer = enforcer
        self._answers = {}  # a list asks the same about many things
        self._credentials = dict(self.to_policy_values())
        # Now and not when first asked for: each log line asks, those of oslo.policy too.
        self.is_admin = self.allows('context_is_admin', {})

    def allows(self, rule, target):
        """Whether policy lets this caller do it.

        target  what is known of the thing it is done to; at least project_id, its owner
        """
        key = (rule, *target.items())
        if key not in self._answers:
            self._answers[key] = bool(self._enforcer.authorize(rule, target, self._credentials))
        return self._answers[key]

    def require(self, rule, target=None):
        """Raises Forbidden, naming the rule, unless policy allows it.

        Without a target the thing asked about is the caller's own.
        """
        if target is None:
            target = {'project_id': self.project_id, 'user_id': self.user_id}
        if not self.allows(rule, target):
            raise errors.Forbidden(f'Policy {rule} does not allow you this.')

    @property
    def caller(self):
        """The same in the services' words."""
        return Caller(
            project_id=self.project_id,
            user_id=self.user_id,
            is_admin=self.is_admin,
            roles=tuple(self.roles),
            request_id=self.request_id,
        )
