"""The caller of a request, and what policy allows them."""

import typing

from oslo_context import context

from glance.api.policies.enforcer import Enforcer
from glance.domain import errors
from glance.domain.caller import Caller


class RequestContext(context.RequestContext):
    """The context of oslo.context, whose request id is in each log line. It can ask policy."""

    def __init__(self, enforcer: Enforcer, **facts: typing.Any) -> None:
        # Log lines show resource_uuid: the task, if the request names one.
        super().__init__(resource_uuid='-', **facts)
        self._enforcer = enforcer
        # A list asks the same question about many items.
        self._answers: dict[tuple[typing.Any, ...], bool] = {}
        self._credentials = dict(self.to_policy_values())
        # Not computed when first used: each log line uses it, those of oslo.policy too.
        self.is_admin: bool = self.allows('context_is_admin', {})

    def allows(self, rule: str, target: dict[str, typing.Any]) -> bool:
        """Whether a policy rule allows this caller to do something with a target.

        target  the fields of the target that rules may use; at least project_id, its owner
        """
        key = (rule, *target.items())
        if key not in self._answers:
            self._answers[key] = bool(self._enforcer.authorize(rule, target, self._credentials))
        return self._answers[key]

    def require(self, rule: str, target: dict[str, typing.Any] | None = None) -> None:
        """Raises Forbidden, with the name of the rule, unless policy allows it.

        target  as for allows(); None: something that belongs to the caller
        """
        if target is None:
            target = {'project_id': self.project_id, 'user_id': self.user_id}
        if not self.allows(rule, target):
            raise errors.Forbidden(f'Policy {rule} does not allow you this.')

    @property
    def caller(self) -> Caller:
        """The caller as services take one."""
        return Caller(
            project_id=typing.cast(str, self.project_id),  # the middleware sets it
            user_id=self.user_id,
            is_admin=self.is_admin,
            roles=tuple(self.roles),
            request_id=self.request_id,
        )
