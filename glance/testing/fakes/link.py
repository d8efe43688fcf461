"""A link that keeps what is sent."""

import typing

from glance.domain.remote_steps import Message

Kind = typing.TypeVar('Kind')


class FakeLink:
    """Keeps what is sent to whom (None: to all). A test says how old the last echo is."""

    def __init__(self, address: str = 'test.this') -> None:
        self.address = address
        self.sent: list[tuple[str | None, Message]] = []
        self.age = 0.0

    def send(self, address: str, message: Message) -> None:
        self.sent.append((address, message))

    def send_to_all(self, message: Message) -> None:
        self.sent.append((None, message))

    def echo_age(self) -> float:
        return self.age

    def of(self, kind: type[Kind]) -> list[Kind]:
        """What was sent of one kind of message, in order."""
        return [message for _, message in self.sent if isinstance(message, kind)]
