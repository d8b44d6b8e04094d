"""One who watches a call, and what it is answered. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any, Final, Protocol

import orjson

from trice.calls.page_reads import Stretch
from trice.errors import TriceError
from trice.identity import Identity
from trice.protocol import down
from trice.protocol.ids import TxId, uuid_text
from trice.protocol.shared import SharedPart

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


@dataclass(slots=True, eq=False)
class Answer:
    """What a watched call returned, or why it did not. All who share it share its bytes.

    value    JSON; None: it failed
    digest   equal for equal answers
    until    of a stretch of a list: where it ends (`page_reads.Stretch`); None: that is not known
    """

    value: bytes | None
    error: TriceError | None
    digest: bytes
    until: str | None = None
    _parts: dict[tuple[object, ...], SharedPart] = field(default_factory=dict)

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

    def part(
        self,
        name: str,
        args_json: bytes,
        *,
        place: tuple[int, int] | None = None,
        until: str | None = None,
    ) -> SharedPart:
        """It as an element of `refresh-ok`; encoded once for all who asked in the same words.

        place   of a page of a list: which one of how many, and `until` where it ends
        """
        key = (name, args_json, place, until)
        part = self._parts.get(key)
        if part is None:
            error = b"" if self.error is None else orjson.dumps(self.error.body())
            if place is None:
                made = down.call_news(name, args_json, value=self.value, error=error)
            else:
                at, count = place
                page = down.call_page(at, until=until, is_new=False, value=self.value, error=error)
                made = down.list_news(name, args_json, [page], count=count, is_whole=False)
            part = self._parts[key] = SharedPart(made)
        return part


def _key_of(until: str) -> bytes:
    return blake2b(until.encode(), digest_size=16).digest()


class Watch:
    """One who watches a call: a session, or an event stream.

    Its methods are for who made it; all else is written by the files beside this one.

    told       digest of what it was told last
    is_asked   it waits to be told, even what it was told before
    row        its user's row as it is now, once an answer depends on that; None: there is none
    has_row    whether `row` is known
    stretch    of a list, which it watches; None: it watches all of what is returned
    """

    __slots__ = (
        "_on_end",
        "_on_news",
        "has_row",
        "identity",
        "ip",
        "is_asked",
        "is_ended",
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
    ) -> None:
        """
        on_news   called when there is an answer that it was not told
        on_end    called when there will be none any more: the app was deleted, or the server stops
        """
        self.identity = identity
        self.ip = ip
        self.origin = origin
        self.stretch = stretch
        self.told = NOTHING_TOLD
        self.is_asked = True
        self.is_ended = False
        self.row: dict[str, Any] | None = None
        self.has_row = False
        self.source: Source | None = None
        self.refused: tuple[Answer, TxId] | None = None
        self._on_news = on_news
        self._on_end = on_end

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
