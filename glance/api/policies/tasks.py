"""Rules for /v2/tasks."""

from oslo_policy import policy

from glance.api.policies import base

RULES = [
    policy.DocumentedRuleDefault(
        'tasks_api_access',
        base.ADMIN,
        'Use the tasks API. This rule comes before every other rule for tasks.',
        [
            {'path': '/v2/tasks', 'method': 'GET'},
            {'path': '/v2/tasks', 'method': 'POST'},
            {'path': '/v2/tasks/{task_id}', 'method': 'GET'},
            {'path': '/v2/tasks/{task_id}', 'method': 'DELETE'},
            {'path': '/v2/tasks/{task_id}/retry', 'method': 'POST'},
            {'path': '/v2/tasks/{task_id}/cancel', 'method': 'POST'},
            {'path': '/v2/tasks/{task_id}/events', 'method': 'GET'},
        ],
    ),
    policy.DocumentedRuleDefault(
        'get_tasks', '', 'List tasks.', [{'path': '/v2/tasks', 'method': 'GET'}]
    ),
    policy.DocumentedRuleDefault(
        'add_task',
        '',
        'Create a task, or one that repeats a failed task.',
        [
            {'path': '/v2/tasks', 'method': 'POST'},
            {'path': '/v2/tasks/{task_id}/retry', 'method': 'POST'},
        ],
    ),
    policy.DocumentedRuleDefault(
        'cancel_task',
        '',
        'Cancel a task.',
        [{'path': '/v2/tasks/{task_id}/cancel', 'method': 'POST'}],
    ),
    policy.DocumentedRuleDefault(
        'get_task', '', 'Show a task.', [{'path': '/v2/tasks/{task_id}', 'method': 'GET'}]
    ),
    policy.DocumentedRuleDefault(
        'get_task_events',
        '',
        'Show what happened to a task.',
        [{'path': '/v2/tasks/{task_id}/events', 'method': 'GET'}],
    ),
]
