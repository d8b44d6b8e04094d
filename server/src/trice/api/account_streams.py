"""Event streams that were opened with a token of an account: they end once it may no more.

A request is judged when it comes; an event stream lasts for days. Its token may be revoked, be
over, or lose scopes, its account be removed or lose its role: so each is judged again and again.

source   spec/accounts.md AC11, AC113
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from trice import account_limits
from trice.background import Background
from trice.errors import TriceError
from trice.protocol.errors import SIGNED_OUT
from trice.session.session import Session


class AccountStreams:
    """The sessions of such streams, and how each is judged: a call that raises what refuses it."""

    def __init__(self) -> None:
        self._checks: dict[str, tuple[Session, Callable[[], object]]] = {}

    def start(self, background: Background) -> None:
        """Begin to judge them."""
        interval_ms = account_limits.STREAM_CHECK_MS
        background.every("account-streams", interval_ms, lambda _: self.check_all())

    def watch(self, session: Session, check: Callable[[], object]) -> None:
        """Judge a session until `forget`."""
        self._checks[session.id] = session, check

    def forget(self, session_id: str) -> None:
        """A session has ended, of such a stream or another one."""
        self._checks.pop(session_id, None)

    async def check_all(self) -> None:
        """Judge all, account_limits.STREAMS_CHECKED_A_TURN before the loop has its turn."""
        for at, (session, check) in enumerate(list(self._checks.values())):
            try:
                check()
            except TriceError:
                session.close(SIGNED_OUT, "signed out")
            if at % account_limits.STREAMS_CHECKED_A_TURN == 0:
                await asyncio.sleep(0)
