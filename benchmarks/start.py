"""How long from the start to the first answer, and how much memory does an idle service hold?"""

import statistics
import sys
import time

import harness

QUESTION = __doc__.strip()


def main(argv=None):
    parser = harness.parser(__doc__)
    parser.add_argument('--rounds', type=int, default=5)
    arguments = parser.parse_args(argv)
    rounds = 1 if arguments.tiny else arguments.rounds
    ready, idle = [], []
    for _ in range(rounds):
        with harness.Service({}, source_port=1) as service:
            ready.append(round(service.ready_after, 2))
            time.sleep(1)  # what a start leaves behind is collected by then
            idle.append(round(harness.pss_mib(service.pid), 1))
    harness.report(
        arguments,
        QUESTION,
        {'rounds': rounds},
        {
            'median_ready_after_s': statistics.median(ready),
            'median_idle_pss_mib': statistics.median(idle),
            'ready_after_s': ready,
            'idle_pss_mib': idle,
        },
    )
    return 0


if __name__ == '__main__':
    sys.exit(main())
