"""Native threads beside the hub, and the pool that TaskFlow's locks can trust."""

import queue
import socket
import threading
import time

import pytest

from glance import native_threads, threads


def test_a_future_carries_the_value():
    pool = native_threads.NativePool(2, 'test')
    assert pool.submit(lambda a, b: a + b, 1, 2).result() == 3
    pool.stop()


def test_a_future_carries_the_error():
    def broken():
        raise LookupError('here')

    pool = native_threads.NativePool(1, 'test')
    with pytest.raises(LookupError, match='here'):
        pool.submit(broken).result()
    assert pool.submit(lambda: 'still there').result() == 'still there'
    pool.stop()


def test_a_future_that_does_not_come_is_a_timeout():
    lock = threads.original('threading').Lock()
    lock.acquire()
    pool = native_threads.NativePool(1, 'test')
    future = pool.submit(lock.acquire)
    with pytest.raises(TimeoutError):
        future.result(0.01)
    lock.release()
    assert future.result()
    pool.stop()


def test_a_native_pool_works_on_as_many_at_once_as_it_has_threads():
    native = threads.original('threading')
    together = native.Barrier(3, timeout=10)
    pool = native_threads.NativePool(3, 'test')
    futures = [pool.submit(together.wait) for _ in range(3)]
    assert sorted(future.result(10) for future in futures) == [0, 1, 2]
    pool.stop()


def test_the_hub_turns_while_a_native_thread_works():
    native = threads.original('threading')
    release = native.Event()
    pool = native_threads.NativePool(1, 'test')
    future = pool.submit(release.wait, 10)
    threading.Thread(target=release.set).start()  # green: runs only if the hub turns
    assert future.result(10)
    pool.stop()


def test_a_batcher_hands_over_all_that_waits_at_once():
    batches = []

    def serve(asked):
        batches.append(len(asked))
        for item, future in asked:
            future.set_result(item * 2)

    batcher = native_threads.Batcher(serve, 'test')
    answers = []
    asking = [
        threading.Thread(target=lambda n=n: answers.append(batcher.ask(n))) for n in range(20)
    ]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join(10)
    batcher.stop().result(10)
    assert sorted(answers) == [2 * n for n in range(20)]
    assert sum(batches) == 20


def test_nobody_is_left_waiting_when_serving_a_batch_breaks():
    def serve(asked):
        raise SystemExit(1)

    batcher = native_threads.Batcher(serve, 'test')
    with pytest.raises(SystemExit):
        batcher.ask(1)
    batcher.stop().result(10)


def test_each_worker_of_a_pool_has_an_identity_of_its_own():
    together = threading.Barrier(3, timeout=10)

    def who():
        together.wait()
        return threads.current(), threading.current_thread()

    pool = threads.pool(3)
    found = [future.result() for future in [pool.submit(who) for _ in range(3)]]
    pool.shutdown()
    assert len({identity for identity, _thread in found}) == 3
    assert len({thread for _identity, thread in found}) == 3


def test_a_pool_runs_no_more_than_its_size_at_once():
    inside, most, lock = 0, 0, threading.Lock()
    turn = threading.Event()

    def work():
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        turn.wait(0.001)
        with lock:
            inside -= 1

    pool = threads.pool(4)
    for future in [pool.submit(work) for _ in range(40)]:
        future.result()
    pool.shutdown()
    assert most == 4


class Waiting:
    """A thread that waits in a way of the test's, and what became of it."""

    def __init__(self, wait):
        self._wait = wait
        self._waits = threading.Event()
        self.thread = self.raised = None
        self.cleaned_up = False
        self._body = threading.Thread(target=self._run)
        self._body.start()
        assert self._waits.wait(10)

    def _run(self):
        self.thread = threads.current()
        self._waits.set()
        try:
            self._wait()
        except BaseException as error:
            self.raised = error
        finally:
            self.cleaned_up = True

    def join(self):
        self._body.join(10)
        assert self.cleaned_up


class Told(BaseException):
    pass


def locked():
    lock = threading.Lock()
    lock.acquire()
    return lock.acquire


def a_silent_socket():
    left, right = socket.socketpair()
    return lambda: (left.recv(1), right)


WAITS = {
    'event': lambda: threading.Event().wait,
    'event with a timeout': lambda: lambda: threading.Event().wait(60),
    'lock': locked,
    'queue': lambda: queue.Queue().get,
    'socket': a_silent_socket,
    'sleep': lambda: lambda: time.sleep(60),
    'future': lambda: native_threads.Future().result,
}


@pytest.mark.green
@pytest.mark.parametrize('wait', WAITS)
def test_a_green_thread_is_interrupted_wherever_it_waits(wait):
    waiting = Waiting(WAITS[wait]())
    error = Told()
    assert threads.interrupt(waiting.thread, error)
    waiting.join()
    assert waiting.raised is error


@pytest.mark.green
def test_what_has_ended_and_oneself_cannot_be_interrupted():
    waiting = Waiting(lambda: None)
    waiting.join()
    assert not threads.interrupt(waiting.thread, Told())
    assert not threads.interrupt(threads.current(), Told())


@pytest.mark.skipif(threads.is_green(), reason='a green thread can be')
def test_a_native_thread_is_not_interrupted():
    release = threading.Event()
    waiting = Waiting(release.wait)
    assert not threads.interrupt(waiting.thread, Told())
    assert not waiting.cleaned_up
    release.set()
    waiting.join()
    assert waiting.raised is None


@pytest.mark.green
def test_a_native_call_goes_on_when_who_waits_for_it_is_interrupted():
    release = threads.original('threading').Event()
    pool = native_threads.NativePool(1, 'test')
    future = pool.submit(release.wait, 10)
    waiting = Waiting(future.result)
    assert threads.interrupt(waiting.thread, Told())
    waiting.join()
    assert not future.done()
    release.set()
    assert future.result(10)
    assert pool.submit(lambda: 'still there').result(10) == 'still there'
    pool.stop()


@pytest.mark.green
def test_a_pool_is_whole_after_its_threads_were_interrupted():
    pool = threads.pool(1)
    begun, inside = threading.Event(), []

    def hang():
        inside.append(threads.current())
        begun.set()
        threading.Event().wait()

    hanging, waiting = pool.submit(hang), pool.submit(lambda: 'its turn')
    assert begun.wait(10)
    error = Told()
    assert threads.interrupt(inside[0], error)
    assert hanging.exception(10) is error
    assert waiting.result(10) == 'its turn'
    pool.shutdown()


def test_many_native_threads_wake_their_green_callers():
    pool = native_threads.NativePool(8, 'test')
    futures = [pool.submit(lambda number=number: number) for number in range(2000)]
    assert [future.result(30) for future in futures] == list(range(2000))
    pool.stop()


def test_plug_ins_of_earlier_releases_find_the_pool_under_its_earlier_name():
    assert threads.NativePool is native_threads.NativePool
    with pytest.raises(AttributeError, match='no attribute'):
        threads.of_no_release  # noqa: B018


def test_a_wait_for_a_socket_ends_when_it_is_ready_or_the_time_is_up():
    one, other = socket.socketpair()
    with one, other:
        assert threads.wait_for(one.fileno(), True, 10)
        assert not threads.wait_for(one.fileno(), False, 0.01)
        other.send(b'x')
        assert threads.wait_for(one.fileno(), False, 10)
        assert threads.wait_for(one.fileno(), False, None)


def test_others_run_while_one_waits_for_a_socket():
    one, other = socket.socketpair()
    with one, other:
        sender = threading.Timer(0.01, other.send, [b'x'])
        sender.start()
        assert threads.wait_for(one.fileno(), False, 10)
        sender.join()
