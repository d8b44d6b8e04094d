"""One who watches a call, and what it is answered. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any, Final, Protocol

import orjson

from trice.calls.deltas import NOTHING_HELD, CallDeltas
from trice.calls.page_reads import Stretch
from trice.errors import TriceError
from trice.identity import Identity
from trice.protocol import down
from trice.protocol.ids import TxId, uuid_text
from trice.protocol.shared import SharedNews, SharedPart

NOTHING_TOLD: Final = b""
"""The digest of what a watcher was told before anything."""

Facts = Iterable[tuple[str, Any]]
"""What a run looked at, in order: names and values as `functions/facts` has them."""


class Source(Protocol):
    """What answers a watcher (`instance.Instance`)."""

    @property
    def answer(self) -> Answer | None: ...

    def label(self) -> TxId:
        """The answer contains every transaction up to this one."""
        ...


_ENCODED_BYTES_MIN: Final = 64 * 1024
"""What is kept of what is encoded of a short value."""


@dataclass(slots=True, eq=False)
class Answer:
    """What a watched call returned, or why it did not. All who share it share its bytes.

    value    JSON; None: it failed
    digest   equal for equal answers; of a value that is no stretch its version
    until    of a stretch of a list: where it ends (`page_reads.Stretch`); None: that is not known
    noted    where its value is kept for deltas, and under which key; None: nobody wants any
    Bound: what is encoded of it has four times the bytes of the value; more begins anew. A part
    counts twice, as the frame around it is kept too.
    """

    value: bytes | None
    error: TriceError | None
    digest: bytes
    until: str | None = None
    noted: tuple[CallDeltas, Hashable] | None = None
    _said: dict[bytes | None, SharedPart] = field(default_factory=dict)
    _parts: dict[tuple[object, ...], SharedPart] = field(default_factory=dict)
    _said_bytes: int = 0
    _parts_bytes: int = 0

    @staticmethod
    def of(value: bytes, *, until: str | None = None) -> Answer:
        """The answer of a run that returned."""
        digest = blake2b(value, digest_size=16, key=b"" if until is None else _key_of(until))
        return Answer(value, None, digest.digest(), until)

    @staticmethod
    def failed(error: TriceError) -> Answer:
        """The answer of a run that did not."""
        told = orjson.dumps(error.body(), option=orjson.OPT_SORT_KEYS)
        return Answer(None, error, b"!" + blake2b(told, digest_size=16).digest())

    def said(self, held: bytes | None) -> SharedPart:
        """The keys that tell it, of an answer with a value: whole, or what changed since `held`
        where that is shorter. Encoded once for all who hold the same.

        held   the version of the value that the client has; None: it did not agree on deltas
        """
        assert self.value is not None, "asked for of values only"
        said = self._said.get(held)
        if said is not None:
            return said
        version = self.digest.hex().encode()
        whole = down.call_value(self.value, version=b"" if held is None else version)
        if not held:
            return self._keep(held, SharedPart(whole))
        if held == self.digest:
            same = down.call_change(held=version, version=version, delta=None)
            return self._keep(held, SharedPart(same))
        delta = None if self.noted is None else self.noted[0].find(self.noted[1], held, self.digest)
        if delta is None:
            return self.said(NOTHING_HELD)
        change = down.call_change(held=held.hex().encode(), version=version, delta=delta)
        if delta and len(change) < len(whole):
            return self._keep(held, SharedPart(change))
        return self._keep(held, self.said(NOTHING_HELD))

    def _keep(self, held: bytes | None, said: SharedPart) -> SharedPart:
        if self._said_bytes + len(said.plain) > self._encoded_bytes_max:
            self._said.clear()
            self._parts.clear()
            self._said_bytes = self._parts_bytes = 0
        self._said_bytes += len(said.plain)
        self._said[held] = said
        return said

    @property
    def _encoded_bytes_max(self) -> int:
        return max(2 * len(self.value or b""), _ENCODED_BYTES_MIN)

    def part(self, name: str, args_json: bytes, held: bytes | None = None) -> SharedPart:
        """It as an element of `refresh-ok`; encoded once for all who asked in the same words.

        held   see `said`
        """
        said = None if self.value is None else self.said(held)
        key = (name, args_json, said)
        part = self._parts.get(key)
        if part is None:
            keys = b"" if said is None else said.plain
            made = down.call_news(name, args_json, said=keys, error=self._error_json)
            part = self._keep_part(key, made)
        return part

    def page_part(
        self, name: str, args_json: bytes, *, at: int, count: int, until: str | None
    ) -> SharedPart:
        """It as the one page that is told in an element of `refresh-ok`; encoded once, as `part`.

        at      which page it is, of `count`
        until   where the page ends
        """
        key = (name, args_json, at, count, until)
        part = self._parts.get(key)
        if part is None:
            page = down.call_page(
                at, until=until, is_new=False, value=self.value, error=self._error_json
            )
            made = down.list_news(name, args_json, [page], count=count, is_whole=False)
            part = self._keep_part(key, made)
        return part

    @property
    def _error_json(self) -> bytes:
        return b"" if self.error is None else orjson.dumps(self.error.body())

    def _keep_part(self, key: tuple[object, ...], made: bytes) -> SharedPart:
        size_bytes = 2 * len(made)  # with the frame of who is told nothing else
        if self._parts_bytes + size_bytes > self._encoded_bytes_max:
            self._parts.clear()
            self._parts_bytes = 0
        self._parts_bytes += size_bytes
        part = self._parts[key] = SharedNews(made)
        return part


def _key_of(until: str) -> bytes:
    return blake2b(until.encode(), digest_size=16).digest()


class Watch:
    """One who watches a call: a session, or an event stream.

    Its methods are for who made it; all else is written by the files beside this one.

    told       digest of what it was told last
    held       the version of the value that it was told last; it keeps that while a call fails
    has_deltas it takes what changed in the place of values
    is_late    it is being answered anew, and that will not take long
    is_asked   it waits to be told, even what it was told before
    row        its user's row as it is now, once an answer depends on that; None: there is none
    has_row    whether `row` is known
    stretch    of a list, which it watches; None: it watches all of what is returned
    """

    __slots__ = (
        "_on_end",
        "_on_late",
        "_on_news",
        "has_deltas",
        "has_row",
        "held",
        "identity",
        "ip",
        "is_asked",
        "is_ended",
        "is_late",
        "origin",
        "refused",
        "row",
        "source",
        "stretch",
        "told",
    )

    def __init__(
        self,
        identity: Identity,
        *,
        ip: str,
        origin: str,
        stretch: Stretch | None = None,
        on_news: Callable[[Watch], None],
        on_end: Callable[[], None],
        on_late: Callable[[Watch], None] | None = None,
        has_deltas: bool = False,
    ) -> None:
        """
        on_news   called when there is an answer that it was not told
        on_late   called when `is_late` changes, and after each run of what it watches
        on_end    called when there will be none any more: the app was deleted, or the server stops
        """
        self.identity = identity
        self.ip = ip
        self.origin = origin
        self.stretch = stretch
        self.told = NOTHING_TOLD
        self.held = NOTHING_HELD
        self.has_deltas = has_deltas
        self.is_asked = True
        self.is_ended = False
        self.is_late = False
        self.row: dict[str, Any] | None = None
        self.has_row = False
        self.source: Source | None = None
        self.refused: tuple[Answer, TxId] | None = None
        self._on_news = on_news
        self._on_end = on_end
        self._on_late = on_late

    @property
    def answer(self) -> Answer | None:
        """What it is answered now; None while that is being found."""
        if self.refused is not None:
            return self.refused[0]
        return None if self.source is None else self.source.answer

    def label(self) -> TxId:
        """The answer contains every transaction up to this one."""
        if self.refused is not None:
            return self.refused[1]
        assert self.source is not None, "asked for with an answer only"
        return self.source.label()

    def tell(self, answer: Answer) -> None:
        """Note that it is told this answer now."""
        self.told = answer.digest
        if answer.value is not None:
            self.held = answer.digest
        self.is_asked = False
        if self.stretch is not None and answer.until is not None:
            self.stretch = replace(self.stretch, until=answer.until)

    def show(self) -> None:
        """Call it if there is news for it."""
        answer = self.answer
        if answer is None or self.is_ended:
            return
        if self.is_asked or answer.digest != self.told:
            self._on_news(self)

    def note_late(self, is_late: bool) -> None:
        """Note whether what it watches is being answered anew, or that a run has ended."""
        if self._on_late is not None and (is_late or self.is_late):
            self.is_late = is_late
            self._on_late(self)

    def close(self) -> None:
        """Tell it that nothing more comes."""
        self._on_end()

    def fact(self, name: str) -> Any:
        """The value that a run for this watcher would find. Needs `row` for facts of it."""
        user_id = self.identity.user_id
        is_deleted = self.has_row and self.row is None
        own_id = None if user_id is None or is_deleted else uuid_text(user_id)
        match name:
            case "user":
                return own_id is not None
            case "user.id":
                return own_id
            case "ip":
                return self.ip or None
            case "origin":
                return self.origin or None
            case "rights":
                return "admin" if self.identity.is_admin else own_id
            case _:
                return (self.row or {}).get(name.removeprefix("user."))

    def may_be_deleted(self, facts: Facts) -> bool:
        """Whether a run found nobody signed in, which is so for users whose row is gone too."""
        is_user = self.identity.user_id is not None
        nobody = ("user", "user.id", "rights")
        return is_user and any(name in nobody and not value for name, value in facts)

    def agrees(self, facts: Facts) -> bool:
        """Whether a run that looked at this would be the same for this watcher. Time is no matter
        of who watches: it changes for all."""
        return all(name.startswith("time.") or self.fact(name) == value for name, value in facts)
