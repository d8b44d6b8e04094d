"""How requests leave in a test: not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trice.functions.outgoing import Outgoing
from trice.testing.http import AppHttp

if TYPE_CHECKING:
    import httpx


class Answered(Outgoing):
    """In place of connections: the answers of a test."""

    def __init__(self, http: AppHttp) -> None:
        super().__init__()
        self._http = http

    async def transport(self) -> httpx.AsyncBaseTransport:
        from trice.testing.answering import AnsweringTransport

        return AnsweringTransport(self._http)
