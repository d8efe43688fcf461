"""Native threads beside the hub, and the pool that TaskFlow's locks can trust."""

import threading

import pytest

from glance import threads


def test_a_reply_carries_the_value():
    pool = threads.NativePool(2, 'test')
    assert pool.submit(lambda a, b: a + b, 1, 2).wait() == 3
    pool.stop()


def test_a_reply_carries_the_error():
    def broken():
        raise LookupError('here')

    pool = threads.NativePool(1, 'test')
    with pytest.raises(LookupError, match='here'):
        pool.submit(broken).wait()
    assert pool.submit(lambda: 'still there').wait() == 'still there'
    pool.stop()


def test_a_reply_that_does_not_come_is_a_timeout():
    lock = threads.original('threading').Lock()
    lock.acquire()
    pool = threads.NativePool(1, 'test')
    reply = pool.submit(lock.acquire)
    with pytest.raises(TimeoutError):
        reply.wait(0.01)
    lock.release()
    assert reply.wait()
    pool.stop()


def test_a_native_pool_works_on_as_many_at_once_as_it_has_threads():
    native = threads.original('threading')
    together = native.Barrier(3, timeout=10)
    pool = threads.NativePool(3, 'test')
    replies = [pool.submit(together.wait) for _ in range(3)]
    assert sorted(reply.wait(10) for reply in replies) == [0, 1, 2]
    pool.stop()


def test_the_hub_turns_while_a_native_thread_works():
    native = threads.original('threading')
    release = native.Event()
    pool = threads.NativePool(1, 'test')
    reply = pool.submit(release.wait, 10)
    threading.Thread(target=release.set).start()  # green: runs only if the hub turns
    assert reply.wait(10)
    pool.stop()


def test_a_batcher_hands_over_all_that_waits_at_once():
    batches = []

    def serve(asked):
        batches.append(len(asked))
        for item, reply in asked:
            reply.give(item * 2)

    batcher = threads.Batcher(serve, 'test')
    answers = []
    asking = [
        threading.Thread(target=lambda n=n: answers.append(batcher.ask(n))) for n in range(20)
    ]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join(10)
    batcher.stop().wait(10)
    assert sorted(answers) == [2 * n for n in range(20)]
    assert sum(batches) == 20


def test_nobody_is_left_waiting_when_serving_a_batch_breaks():
    def serve(asked):
        raise SystemExit(1)

    batcher = threads.Batcher(serve, 'test')
    with pytest.raises(SystemExit):
        batcher.ask(1)
    batcher.stop().wait(10)


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
