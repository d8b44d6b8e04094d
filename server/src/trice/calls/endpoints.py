"""Endpoints of apps: which one a request means, and how many bytes their requests hold.

source   spec/functions.md FN520-FN549
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from trice import endpoint_limits as limits
from trice.calls.functions import Functions
from trice.errors import Unavailable
from trice.functions.paths import PathTable, parse_path
from trice.functions.signature import Signature
from trice.protocol.ids import AppId
from trice.shares import ALL, Shares

_KEPT_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Found:
    """The endpoints of one path.

    by_method   the endpoint, and what stands in its path for each name
    """

    by_method: Mapping[str, tuple[Signature, dict[str, str]]]

    @property
    def allowed(self) -> list[str]:
        """The methods that are answered, in the order of the alphabet."""
        given = set(self.by_method)
        more = {"OPTIONS"} | ({"HEAD"} if "GET" in given else set())
        return sorted(given | more)

    def get(self, method: str) -> tuple[Signature, dict[str, str]] | None:
        """The endpoint of a method. HEAD is answered by that of GET, without its body."""
        if method == "HEAD" and "HEAD" not in self.by_method:
            method = "GET"
        return self.by_method.get(method)


class Endpoints:
    """Holds the paths of each app that was asked, and how many bytes of requests are in memory."""

    def __init__(self, functions: Functions) -> None:
        self.functions = functions
        self._tables: dict[AppId, tuple[Mapping[str, Signature], PathTable[Signature]]] = {}
        self._requests = Shares()

    @property
    def holds_nothing(self) -> bool:
        """Whether no request is counted."""
        return self._requests.holds_nothing

    def find(self, app_id: AppId, segments: Sequence[str]) -> Found:
        """What a path of an app means; nothing, if no endpoint has it."""
        found = {}
        for method, (signature, values) in self._table(app_id).find(segments).items():
            assert signature.route is not None, "the table has endpoints only"
            names = parse_path(signature.route.path).names
            found[method] = (signature, dict(zip(names, values, strict=True)))
        return Found(found)

    def _table(self, app_id: AppId) -> PathTable[Signature]:
        signatures = self.functions.door.deployed.signatures(app_id)
        known = self._tables.get(app_id)
        if known is not None and known[0] is signatures:
            return known[1]
        table = PathTable(
            (each.route.method, parse_path(each.route.path), each)
            for each in signatures.values()
            if each.route is not None
        )
        self._tables.pop(app_id, None)
        self._tables[app_id] = (signatures, table)
        if len(self._tables) > _KEPT_MAX:
            del self._tables[next(iter(self._tables))]
        return table

    @contextmanager
    def hold(self, app_id: AppId, network: str) -> Iterator[Callable[[int], None]]:
        """Count the bytes of a request as long as it is in memory. Yields what is told how many
        they are so far, each time there are more. raises   Unavailable("overloaded") there"""
        held = 0
        bounds = {
            ALL: limits.REQUESTS_BYTES_MAX,
            app_id: limits.REQUESTS_OF_APP_BYTES_MAX,
            (app_id, network): limits.REQUESTS_OF_NETWORK_BYTES_MAX,
        }

        def note(size_bytes: int) -> None:
            nonlocal held
            more = max(size_bytes - limits.REQUEST_FREE_BYTES, 0) - held
            if not self._requests.take(more, bounds):
                told = "Too many large requests of this app are under way; try again in a moment."
                raise Unavailable("overloaded", told)
            held += more

        try:
            yield note
        finally:
            self._requests.give_back(held, bounds)
