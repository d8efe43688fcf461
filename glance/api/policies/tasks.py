"""Rules for /v2/tasks."""

from oslo_policy import policy

from glance.api.policies import base

_ALL = [
    {'path': '/v2/tasks', 'method': 'GET'},
    {'path': '/v2/tasks', 'method': 'POST'},
    {'path': '/v2/tasks/{task_id}', 'method': 'GET'},
    {'path': '/v2/tasks/{task_id}', 'method': 'DELETE'},
]

RULES = [
    policy.DocumentedRuleDefault(
        'tasks_api_access', base.ADMIN, 'Use the tasks API; asked before all else.', _ALL
    ),
    policy.DocumentedRuleDefault('get_tasks', '', 'List tasks.', _ALL[:1]),
    policy.DocumentedRuleDefault('add_task', '', 'Create a task.', _ALL[1:2]),
    policy.DocumentedRuleDefault('get_task', '', 'Show a task.', _ALL[2:3]),
]
