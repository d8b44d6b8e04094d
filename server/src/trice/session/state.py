"""What one client asked for and was told. It changes memory, and never sends. No I/O.

    WAITING --init--> OPENING --app opened--> READY --closed--> CLOSED
       |                 |                                        ^
       +-----------------+-------------------- closed ------------+

| phase   | init               | any other op            | closed   |
|---------|--------------------|-------------------------|----------|
| WAITING | start opening      | error: init first       | CLOSED   |
| OPENING | error: second init | kept until READY        | CLOSED   |
| READY   | error: second init | handled                 | CLOSED   |
| CLOSED  | dropped            | dropped                 | —        |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from trice import limits
from trice.live.deltas import NOTHING_HELD
from trice.live.live_query import NO_TX, LiveQuery, Question
from trice.protocol.ids import TxId


class Phase(Enum):
    WAITING = "waiting"
    OPENING = "opening"
    READY = "ready"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Owed:
    """One add-query or add-call message that waits for its answer.

    held   version of the answer that the client still has, NOTHING_HELD if it has none
    """

    event_id: str | None
    held: bytes


@dataclass(slots=True, eq=False)
class Subscription:
    """One query of this session. As a watcher, it is called when the answer changed. Only its own
    methods and those of SessionState write it.

    on_answer  called after every change, with the subscription
    live       None until the first answer is there
    owed       add-query messages that wait for an answer that is being computed
    is_wanted  False if it was removed while an answer was being computed
    told       version of the answer that the client was told last, if it asked for versions
    """

    question: Question
    on_answer: Callable[[Subscription, LiveQuery], None]
    live: LiveQuery | None = None
    owed: list[Owed] = field(default_factory=list)
    is_wanted: bool = True
    told: bytes = NOTHING_HELD

    def __call__(self, live: LiveQuery) -> None:
        self.on_answer(self, live)

    def ask(self, question: Question) -> None:
        """Set the question, which has other rights than before; there is no answer yet."""
        self.question, self.live = question, None

    def show(self, live: LiveQuery) -> None:
        """Set the live query that has its answer."""
        self.live = live

    def let_go(self) -> LiveQuery | None:
        """Have no answer any more. The caller must unwatch the live query that is returned."""
        live, self.live = self.live, None
        return live

    def tell(self, version: bytes) -> bytes:
        """Note that the client is told this version; return the one it was told before."""
        told, self.told = self.told, version
        return told


class SessionState:
    """Holds the phase, the subscriptions, the size of their queries, which of them have news, and
    the catalog version that the client was told.

    Does not hold: answers (live.Live does), messages that wait (the inbox does), frames waiting to
    be sent (the outbox does). Only its own methods write it.
    Bound: limits.SESSION_OWED_BYTES_MAX for add-query messages that wait for their answer.
    """

    __slots__ = (
        "_news",
        "_on_answer",
        "_owed_bytes",
        "_transacts",
        "_transacts_bytes",
        "catalog_told",
        "phase",
        "queries_bytes",
        "subscriptions",
    )

    def __init__(self) -> None:
        self._on_answer: Callable[[Subscription, LiveQuery], None] = _nobody
        self.phase = Phase.WAITING
        self.subscriptions: dict[tuple[str, bytes], Subscription] = {}
        self.catalog_told = 0
        self.queries_bytes = 0
        self._owed_bytes = 0
        self._transacts = 0
        self._transacts_bytes = 0
        self._news: dict[Subscription, None] = {}

    def begin_opening(self) -> None:
        """`init` came."""
        self.phase = Phase.OPENING

    def refuse_opening(self) -> None:
        """`init` failed; another one may follow."""
        self.phase = Phase.WAITING

    def open(
        self, on_answer: Callable[[Subscription, LiveQuery], None], *, catalog_version: int
    ) -> None:
        """The session has an app, and the client is told its catalog.

        on_answer  called when the answer of a subscription changed
        """
        self._on_answer = on_answer
        self.catalog_told = catalog_version
        self.phase = Phase.READY

    def tell_catalog(self, version: int) -> bool:
        """Note that the client is told this catalog next; return whether it is a new one."""
        is_new = self.catalog_told != version
        self.catalog_told = version
        return is_new

    def add_query(self, question: Question, owed: Owed) -> Subscription:
        """Note that a message wants an answer to `question`."""
        subscription = self.subscriptions.get(question.asked)
        if subscription is None:
            subscription = Subscription(question, self._on_answer)
            self.subscriptions[question.asked] = subscription
            self.queries_bytes += len(question.q_json)
        subscription.is_wanted = True
        subscription.owed.append(owed)
        self._owed_bytes += _size(owed)
        return subscription

    def has_room_to_owe(self, event_id: str | None) -> bool:
        """Whether one more add-query may wait for an answer."""
        return self._owed_bytes + len(event_id or "") < limits.SESSION_OWED_BYTES_MAX

    def take_owed(self, subscription: Subscription) -> list[Owed]:
        """Take the messages that waited for this answer, to answer them now."""
        owed, subscription.owed = subscription.owed, []
        self._owed_bytes -= sum(map(_size, owed))
        return owed

    def remove_query(self, asked: tuple[str, bytes]) -> Subscription | None:
        """Drop a subscription. The caller must unwatch the one that is returned.

        asked   see `Question.asked`
        A subscription whose answer is under way stays, as unwanted: a new add-query may revive it.
        """
        subscription = self.subscriptions.get(asked)
        if subscription is None:
            return None
        if subscription.owed:
            subscription.is_wanted = False
            return None
        return self.forget(subscription)

    def forget(self, subscription: Subscription) -> Subscription:
        """Remove a subscription, whatever its state."""
        if self.subscriptions.pop(subscription.question.asked, None) is not None:
            self.queries_bytes -= len(subscription.question.q_json)
        self._news.pop(subscription, None)
        self.take_owed(subscription)
        return subscription

    def end(self) -> list[Subscription]:
        """The session is over. The caller must unwatch the subscriptions that are returned."""
        ended = list(self.subscriptions.values())
        self.phase = Phase.CLOSED
        self.subscriptions, self._news = {}, {}
        self._on_answer = _nobody
        return ended

    def begin_transact(self, size_bytes: int) -> bool:
        """Count a transaction that was handed over; return whether no more may be open."""
        self._transacts += 1
        self._transacts_bytes += size_bytes
        return self._is_full

    def end_transact(self, size_bytes: int) -> bool:
        """Uncount a transaction that was answered; return whether that lets the session send
        more."""
        was_full = self._is_full
        self._transacts -= 1
        self._transacts_bytes -= size_bytes
        return was_full and not self._is_full

    @property
    def transacts(self) -> int:
        """How many writes are not answered yet."""
        return self._transacts

    @property
    def awaits_nothing(self) -> bool:
        """Whether the session watches nothing and all of its transactions are answered."""
        return not self._transacts and not self.subscriptions

    @property
    def _is_full(self) -> bool:
        return (
            self._transacts >= limits.SESSION_TRANSACTS_MAX
            or self._transacts_bytes >= limits.SESSION_TRANSACTS_BYTES_MAX
        )

    def note_news(self, subscription: Subscription) -> None:
        """Note that its answer changed. Newer news replaces older: a query is never queued
        twice."""
        self._news[subscription] = None

    def note_news_everywhere(self) -> None:
        """Note every answer as news: the client may show an optimistic write that was rejected."""
        for subscription in self.subscriptions.values():
            if subscription.live is not None:
                self._news[subscription] = None

    def unanswered(self) -> list[Subscription]:
        """The subscriptions that could not be asked again when the rights changed."""
        return [one for one in self.subscriptions.values() if one.live is None and not one.owed]

    def told(self, subscription: Subscription) -> None:
        """Note that the current answer was just sent."""
        self._news.pop(subscription, None)

    @property
    def has_news(self) -> bool:
        return bool(self._news)

    @property
    def news_tx(self) -> TxId:
        """The newest state that an answer with news shows."""
        lives = [one.live for one in self._news if one.live is not None]
        return max((live.tx for live in lives), default=NO_TX)

    def take_news(self) -> Iterator[Subscription]:
        """Yield the subscriptions with news, which are noted as told."""
        news, self._news = self._news, {}
        yield from news


def _nobody(subscription: Subscription, live: LiveQuery) -> None:
    """The `on_answer` of a session that is over."""


def _size(owed: Owed) -> int:
    """Roughly the bytes that one message takes while it waits for an answer."""
    return len(owed.event_id or "") + limits.SESSION_OWED_OVERHEAD_BYTES
