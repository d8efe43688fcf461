"""The rules that other rules refer to."""

from oslo_policy import policy

ADMIN = 'rule:context_is_admin'
ADMIN_OR_MEMBER_OF_OWNER = f'{ADMIN} or (role:member and project_id:%(project_id)s)'

RULES = [
    policy.RuleDefault(
        'context_is_admin', 'role:admin', 'Whether the caller is an administrator.'
    ),
    policy.RuleDefault('default', '', 'The meaning of rule:default in other rules.'),
]
