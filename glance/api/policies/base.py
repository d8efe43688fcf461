"""The rules that other rules are made of."""

from oslo_policy import policy

ADMIN = 'rule:context_is_admin'
ADMIN_OR_MEMBER_OF_OWNER = f'{ADMIN} or (role:member and project_id:%(project_id)s)'

RULES = [
    policy.RuleDefault('context_is_admin', 'role:admin', 'Who is an administrator.'),
    policy.RuleDefault('default', '', 'What holds where a rule says rule:default.'),
]
