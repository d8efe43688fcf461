"""How a thread ends the wait of another one; with GLANCE_THREADS=native, of a native one."""

import contextlib
import socket
import threading

import pytest

from glance import interrupts, native_threads, threads
from glance.testing.observed_queue import PATIENCE

native = pytest.mark.skipif(threads.is_green(), reason='the hub interrupts green threads')


class Stop(Exception):
    pass


class Waiter:
    """A thread that calls a function in which it may be interrupted."""

    def __init__(self, function):
        self._function = function
        self._entered, self.raised = threading.Event(), []
        self.thread = None
        self._ended = threading.Event()
        self._started = threading.Thread(target=self._run, daemon=True)
        self._started.start()
        assert self._entered.wait(PATIENCE)

    def _run(self):
        with interrupts.allowed():
            self.thread = threads.current()
            self._entered.set()
            try:
                self._function()
            except Stop as error:
                self.raised.append(error)
        self._ended.set()

    def interrupt_until_it_waits(self):
        """The thread may not have reached its wait yet; it is told then."""
        error = Stop()
        interrupts.interrupt(self.thread, error)
        assert self._ended.wait(PATIENCE)
        assert self.raised == [error]


@contextlib.contextmanager
def connection():
    with socket.create_server(('127.0.0.1', 0)) as server:
        client = socket.create_connection(server.getsockname())
        other, _address = server.accept()
        with client, other:
            yield client


def test_a_wait_for_a_socket():
    with connection() as client:

        def receive():
            with interrupts.socket_call(client):
                client.recv(1)

        Waiter(receive).interrupt_until_it_waits()


def test_a_wait_for_a_result():
    Waiter(lambda: interrupts.wait(native_threads.Future(), 600)).interrupt_until_it_waits()


def test_a_sleep():
    Waiter(lambda: interrupts.sleep(600)).interrupt_until_it_waits()


def test_a_result_and_its_absence_are_told_apart():
    future = native_threads.Future()
    with interrupts.allowed():
        assert not interrupts.wait(future, 0.01)
        future.set_result(7)
        assert interrupts.wait(future, PATIENCE)
        interrupts.sleep(0.01)
    assert interrupts.wait(future, PATIENCE)  # where nobody may interrupt


def test_a_thread_outside_is_not_interrupted():
    assert not interrupts.interrupt(threads.current(), Stop())


@native
class TestNative:
    def interrupted(self):
        """This thread has been interrupted while it worked."""
        told = threading.Thread(target=interrupts.interrupt, args=(threads.current(), Stop()))
        told.start()
        told.join()

    def test_one_that_works_hears_it_when_it_waits(self):
        with interrupts.allowed():
            self.interrupted()
            with pytest.raises(Stop), interrupts.BlockingCall(lambda: None):
                pytest.fail('it began to wait')
            interrupts.sleep(0.01)  # once is enough

    def test_it_is_forgotten_where_it_is_known_already_and_at_the_end(self):
        with interrupts.allowed():
            self.interrupted()
            interrupts.forget()
            interrupts.sleep(0.01)
            self.interrupted()
        with interrupts.allowed():
            interrupts.sleep(0.01)

    def test_an_inner_step_has_its_own(self):
        with interrupts.allowed():
            self.interrupted()
            with interrupts.allowed():
                interrupts.sleep(0.01)
            with pytest.raises(Stop):
                interrupts.sleep(0.01)

    def test_what_the_call_raises_is_not_what_it_was_ended_for(self):
        def break_when_interrupted():
            with interrupts.BlockingCall(lambda: None):
                self.interrupted()
                raise ConnectionResetError

        with interrupts.allowed(), pytest.raises(Stop):
            break_when_interrupted()
