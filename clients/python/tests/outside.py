"""A sign-in provider and a mail server beside the tests, in a thread with a loop of its own."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass

from support.identity_provider import IdentityProvider
from support.mail_server import MailServer, serve_mail
from support.patience import WAIT_S


@dataclass(frozen=True)
class Outside:
    """provider   that of the server's own tests; mail   what was sent"""

    provider: IdentityProvider
    mail: MailServer

    def code(self, email: str) -> str:
        """The newest code that an address was sent."""
        for sender_and_all in reversed(self.mail.arrived):
            if email in sender_and_all[1]:
                subject = str(self.mail.message(self.mail.arrived.index(sender_and_all))["subject"])
                found = re.search(r"(?<!\d)\d{6}(?!\d)", subject)
                assert found is not None, subject
                return found[0]
        raise AssertionError(f"nothing was sent to {email}")


@contextmanager
def outside() -> Iterator[Outside]:
    ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, Outside]] = Future()

    async def serve() -> None:
        provider = IdentityProvider(lambda: int(time.time() * 1000))
        await provider.open()
        try:
            async with serve_mail() as mail:
                over = asyncio.Event()
                ready.set_result((asyncio.get_running_loop(), over, Outside(provider, mail)))
                await over.wait()
        finally:
            await provider.close()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as failure:
            if ready.done():
                raise
            ready.set_exception(failure)

    thread = threading.Thread(target=run)
    thread.start()
    loop, over, found = ready.result(WAIT_S)
    try:
        yield found
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(WAIT_S)
