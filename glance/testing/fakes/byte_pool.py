"""The threads that work on bytes, for tests that need none."""

import collections.abc
import concurrent.futures
import typing


class FakeBytePool:
    """Does what is submitted at once, in the thread of the caller, as a NativePool does later."""

    tick = 0.0

    def submit(
        self, function: collections.abc.Callable[..., typing.Any], *args: typing.Any
    ) -> concurrent.futures.Future[typing.Any]:
        future: concurrent.futures.Future[typing.Any] = concurrent.futures.Future()
        try:
            future.set_result(function(*args))
        except Exception as error:  # result() raises it, as in the real pool
            future.set_exception(error)
        return future
