"""The reference client of `trice` version 1: keeps what it was told, and applies what changed.

It checks what a client may rely on: a delta starts from the version that the client holds, removes
only triples that are there, and adds only triples that are not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from support.memory_client import MemoryClient
from trice.session.hub import Hub

Triples = dict[bytes, list[Any]]


@dataclass
class HeldAnswer:
    """One answer as the client holds it: its version, triples by their JSON, other `data`."""

    version: str
    triples: Triples
    data: dict[str, Any]

    def apply(self, version: str, delta: dict[str, Any]) -> None:
        """Apply a delta in the order of P77."""
        assert set(delta) <= {"removed", "changed", "added", "data"}
        for place in delta.get("removed", ()):
            self._remove(place)
        for triple in delta.get("changed", ()):
            self._remove(triple[:2])
            self._add(triple)
        for triple in delta.get("added", ()):
            self._add(triple)
        self.data = delta.get("data", self.data)
        self.version = version

    def _remove(self, place: list[Any]) -> None:
        found = [key for key, triple in self.triples.items() if triple[: len(place)] == place]
        assert found, f"{place} was never there"
        for key in found:
            del self.triples[key]

    def _add(self, triple: list[Any]) -> None:
        key = orjson.dumps(triple)
        assert key not in self.triples, f"{triple} is there already"
        self.triples[key] = triple


def content(result: list[dict[str, Any]]) -> tuple[Triples, dict[str, Any]]:
    """The triples of a flat result by their JSON, and the rest of its `data`."""
    data = dict(result[0]["data"])
    rows = data.pop("datalog-result")["join-rows"]
    return {orjson.dumps(triple): triple for triple in rows[0]}, data


@dataclass
class DeltaClient:
    """Holds answers by query-id across reconnects. `wire` is the current connection.

    errors   queries whose last message was an error, by their JSON
    forms    how many answers came in each form: full, delta, same
    """

    hub: Hub
    features: tuple[str, ...] = ("delta", "resume")
    answers: dict[str, HeldAnswer] = field(default_factory=dict)
    query_ids: dict[bytes, str] = field(default_factory=dict)
    asked: dict[bytes, Any] = field(default_factory=dict)
    catalog: str | None = None
    attrs: list[Any] = field(default_factory=list)
    tx: int = 0
    errors: dict[bytes, dict[str, Any]] = field(default_factory=dict)
    forms: dict[str, int] = field(default_factory=lambda: {"full": 0, "delta": 0, "same": 0})

    async def connect(self, app_id: str, **fields: Any) -> dict[str, Any]:
        """Open a new connection, naming the held answers of earlier ones; return `init-ok`."""
        self.wire = MemoryClient(self.hub)
        trice = {"version": 1, "features": list(self.features), "tx": self.tx}
        if self.catalog is not None:
            trice["catalog"] = self.catalog
        opened = await self.wire.init(app_id, trice=trice, **fields)
        self.attrs = opened.get("attrs", self.attrs)
        self.catalog = opened["trice"].get("catalog")
        self._pending: dict[str, bytes] = {}
        return opened

    def ask(self, q: Any) -> str:
        """Add a query, naming the version of the held answer."""
        key = orjson.dumps(q)
        self.asked[key] = q
        held = self.answers.get(self.query_ids.get(key, ""))
        fields = {} if held is None else {"held": held.version}
        event_id = self.wire.say("add-query", q=q, **fields)
        self._pending[event_id] = key
        return event_id

    def take_in(self) -> list[dict[str, Any]]:
        """Apply every message that arrived since the last call; return them."""
        messages = self.wire.unheard()
        for message in messages:
            self.apply(message)
        return messages

    async def hear(self, op: str) -> dict[str, Any]:
        """Apply messages until one of `op` came; return it."""
        while True:
            message = await self.wire.hear()
            self.apply(message)
            if message["op"] == op:
                return message

    async def write(self, tx_steps: list[Any]) -> dict[str, Any]:
        """Send a transaction and apply messages until it is answered; return the answer."""
        event_id = self.wire.say("transact", tx_steps=tx_steps)
        while True:
            message = await self.wire.hear()
            self.apply(message)
            if message.get("client-event-id") == event_id:
                return message

    def apply(self, message: dict[str, Any]) -> None:
        self.tx = max(self.tx, message.get("processed-tx-id", 0), message.get("tx-id", 0))
        match message["op"]:
            case "add-query-ok":
                key = self._pending.pop(message["client-event-id"])
                self.query_ids[key] = message["query-id"]
                self.errors.pop(key, None)
                self._take(message, message.get("result"))
            case "refresh-ok":
                if "attrs" in message:
                    self.attrs = message["attrs"]
                    self.catalog = message.get("catalog")
                for computation in message["computations"]:
                    self._take(computation, computation.get("instaql-result"))
                    for key, query_id in self.query_ids.items():
                        if query_id == computation["query-id"]:
                            self.errors.pop(key, None)
            case "error":
                q = message["original-event"].get("q")
                self.errors[orjson.dumps(q)] = message

    def _take(self, told: dict[str, Any], result: Any) -> None:
        query_id, version = told["query-id"], told["version"]
        if result is not None:
            assert "from" not in told and "delta" not in told
            self.forms["full"] += 1
            self.answers[query_id] = HeldAnswer(version, *content(result))
            return
        held = self.answers[query_id]
        assert held.version == told["from"], "a delta from what the client does not hold"
        if "delta" in told:
            self.forms["delta"] += 1
            held.apply(version, told["delta"])
        else:
            self.forms["same"] += 1
            assert version == told["from"]

    def shown(self, q: Any) -> tuple[set[bytes], dict[str, Any]]:
        """The held answer to a query: triples as JSON, and the rest of `data`."""
        held = self.answers[self.query_ids[orjson.dumps(q)]]
        return set(held.triples), held.data
