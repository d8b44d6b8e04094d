"""A mail service in memory: messages arrive at once, and tests can read them."""

from __future__ import annotations

import re

from trice.mail import Message


class Mailbox:
    """`trice.mail.Mail` for tests.

    messages   what was sent, in order
    failure    raised instead of taking a message; None: messages are taken
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
