"""The executors: loaded by their entry points, never imported by a statement."""

from glance.interfaces import TaskExecutor  # noqa: F401 - where plug-ins have looked for it
