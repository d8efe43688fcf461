"""Suspects: tasks during whose runs processes died again and again.

Nobody can tell which of the tasks of a dead process ended it. So a death without
progress is counted for each of them, and whoever has SUSPECT_DEATHS in a row runs
in a child process, among others of its kind only. If the child dies, too, each of
them is in a group half as large the next time; the one that was alone in its child
is to blame.
"""

import dataclasses

# With so many deaths in a row, a task no longer runs in the process that serves all others.
# One death is no reason for it: mostly somebody ended the process, and a child costs a second.
SUSPECT_DEATHS = 2
# With so many deaths, a suspect gets a child of its own, however many others there are.
LONE_DEATHS = 10
# With so many deaths, a task fails. It was alone for the last ones, and nobody outlived them to
# tell why the child had died.
MAX_DEATHS = 20
# Seconds that a suspect waits for its next run, by the number of its attempts; with more
# attempts, the last of them.
PAUSES = (0, 1, 5, 5, 30)


@dataclasses.dataclass(frozen=True)
class SuspectGroup:
    """The suspects that run in one child: up to size of those that have had so many deaths."""

    deaths: int
    size: int

    @classmethod
    def of(cls, deaths: int, waiting: int) -> 'SuspectGroup':
        """The group for the next child, if so many with this number of deaths wait."""
        if deaths <= SUSPECT_DEATHS:
            return cls(deaths, waiting)
        return cls(deaths, 1 if deaths >= LONE_DEATHS else max(1, waiting // 2))
