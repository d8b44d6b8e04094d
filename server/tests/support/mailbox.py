"""A mail that arrives at once, in memory, where tests read it."""

from __future__ import annotations

import re

from trice.mail import Message


class Mailbox:
    """`trice.mail.Mail` for tests.

    messages   what was sent, in order
    failure    raised instead of taking a message; None takes them
    """

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.failure: Exception | None = None

    async def send(self, message: Message) -> None:
        if self.failure is not None:
            raise self.failure
        self.messages.append(message)

    def code(self) -> str:
        """The code in the newest message."""
        found = re.search(r"(?<!\d)\d{6}(?!\d)", self.messages[-1].subject)
        assert found is not None, f"no code in {self.messages[-1].subject!r}"
        return found[0]
