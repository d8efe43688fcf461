"""What does it cost to have steps done by workers?

Runs are on the real engines of the service, in this process. Each has two empty steps
here and three at a worker, which is another process. There is no database. The same
runs with all five steps here tell what of it is the engine, and what the transport. It
needs a broker of each kind on this machine.
"""

from glance import threads

threads.use(threads.GREEN)

import os
import subprocess
import sys
import threading
import time
import uuid

import harness

from glance import toolbox
from glance.domain.entry import Claim
from glance.domain.lease import Lease, Progress
from glance.domain.remote_steps import Announcement, Answer, Ending, Order
from glance.engine.active_runs import ActiveRuns
from glance.engine.remote_engine import RemoteTaskExecutor
from glance.engine.remote_steps import RemoteSteps
from glance.engine.taskflow_engine import EngineRunner
from glance.engine.worker_directory import WorkerDirectory
from glance.interfaces.flow import Flow, Step
from glance.logbook import Logbook
from glance.messaging.broker import Broker
from glance.messaging.link import Link
from glance.testing.fakes.queue import FakeQueue
from glance.testing.fakes.toolbox import fake_toolbox

AT_ONCE = 16
FLOWS = 200
REMOTE = 3  # steps of each flow


class Empty(Step):
    def __init__(self, name, moves_bytes):
        self.name = name
        self.moves_bytes = moves_bytes

    def do(self):
        pass


class AllDone(Logbook):
    """A logbook in which each step has a result."""

    def results(self):
        return dict.fromkeys(('r1', 'r2', 'r3'))


def flow(remote):
    names = ('i1', 'r1', 'r2', 'r3', 'i2')
    steps = tuple(Empty(name, remote and name.startswith('r')) for name in names)
    return Flow('empty', 1, steps, lambda *_: None, lambda *_: None)


FLOW, FLOW_HERE = flow(remote=True), flow(remote=False)


def work(transport, exchange):
    """The process of the worker: it answers each order at once, until its input ends."""

    def receive(message):
        if isinstance(message, Order):
            link.send(message.reply_to, Answer(link.address, message.sending, Ending.DONE))

    link = Link(Broker(transport, harness.BROKERS[transport], exchange), uuid.uuid4().hex, receive)
    link.start()
    ended = threading.Event()

    def announce():
        while not ended.wait(0.5):
            link.send_to_all(
                Announcement(
                    worker=link.address,
                    host='here',
                    area='here',
                    version='1',
                    deployment='x',
                    topics=['default'],
                    stores=[],
                    slots=1000,
                    free=1000,
                    types={FLOW.type: FLOW.version},
                )
            )

    threading.Thread(target=announce, daemon=True).start()
    sys.stdin.read()
    ended.set()
    link.stop()


def measure(transport, flows):
    exchange = f'glance-bench-{uuid.uuid4().hex[:8]}'
    worker = subprocess.Popen(
        [sys.executable, __file__, 'work', transport, exchange],
        stdin=subprocess.PIPE,
        env=os.environ | {'GLANCE_THREADS': 'native'},  # it waits for the end of its input
    )
    queue, runs = FakeQueue(), ActiveRuns()
    toolbox.fill(fake_toolbox(queue, runs))
    directory = WorkerDirectory('1', 'x', ['default'], 5)
    remote = RemoteSteps(runs, directory, 5)
    broker = Broker(transport, harness.BROKERS[transport], exchange)
    link = Link(broker, uuid.uuid4().hex, remote.receive)
    remote.start(link)
    link.start()
    nothing = AllDone()
    runner = EngineRunner(
        runs,
        None,
        lambda claim, flow: nothing,
        lambda *of_run: RemoteTaskExecutor(remote, queue, runs, *of_run),
    )

    def run(flow):
        lease = Lease(str(uuid.uuid4()), 1)
        claim = Claim(lease, 'empty', 1, {}, 0, Progress(), None, '', False)
        runs.begin(claim)
        runner.run_flow(flow, claim)
        runs.end(lease)

    def run_many(flow):
        """Seconds, and CPU seconds of this process."""
        left = iter(range(flows))

        def several():
            for _ in left:
                run(flow)

        pool = [threading.Thread(target=several) for _ in range(AT_ONCE)]
        began, cpu = time.perf_counter(), time.process_time()
        for thread in pool:
            thread.start()
        for thread in pool:
            thread.join()
        return time.perf_counter() - began, time.process_time() - cpu

    try:
        while directory.choose() is None:
            time.sleep(0.01)
        began = time.perf_counter()
        run(FLOW)
        first = time.perf_counter() - began
        run_many(FLOW_HERE)  # so that all is imported and compiled
        took, used = run_many(FLOW)
        _seconds, engine = run_many(FLOW_HERE)
        steps = flows * REMOTE
        return {
            'transport': transport,
            'first flow, ms': round(first * 1000, 1),
            'remote steps a second': round(steps / took),
            "conductor's CPU for each, engine included, ms": round(used / steps * 1000, 2),
            "conductor's CPU for each, transport alone, ms": round(
                (used - engine) / steps * 1000, 2
            ),
        }
    finally:
        remote.stop()
        link.stop()
        worker.stdin.close()
        worker.wait()


def main():
    arguments = harness.parser(__doc__.splitlines()[0]).parse_args()
    flows = AT_ONCE if arguments.tiny else FLOWS
    harness.report(
        arguments,
        __doc__.splitlines()[0],
        {'flows': flows, 'at once': AT_ONCE, 'steps here and at the worker': [2, REMOTE]},
        [measure(transport, flows) for transport in harness.BROKERS],
    )


if __name__ == '__main__':
    if sys.argv[1:2] == ['work']:
        work(*sys.argv[2:])
    else:
        main()
