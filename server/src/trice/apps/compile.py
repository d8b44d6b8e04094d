"""Checking and compiling rules documents: one at a time when saved, once for each app in use.

    save, warnings ──> wait in turns: networks, in each the apps ──> the thread ──> kept

Compiling takes up to half a second of a thread, and so does looking for warnings. Both run on one
thread of their own, so that they do not hold up apps that are being opened. A network that asks for
many only holds up itself.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import orjson

from trice import limits
from trice.catalog.catalog import Catalog
from trice.errors import InvalidInput, Unavailable, invalid
from trice.identity import SERVER, TurnKey
from trice.rules.document import Rules
from trice.rules.warnings import warnings_wire
from trice.store.turns import Turns

T = TypeVar("T")

Warned = list[dict[str, Any]]
"""Probable mistakes: `[{"message", "in", "hint"?}]`."""

_THREAD: Final = "trice-rules"
_TOO_MANY: Final = "Too many rules wait to be checked. Try again later."


@dataclass(slots=True, eq=False)
class _Work:
    """Work for the thread: its turn key, and the future of its outcome."""

    turn_key: TurnKey
    run: Callable[[], Any]
    done: asyncio.Future[Any]


class Compiler:
    """Compiles the rules of all apps, and looks for warnings about them.

    Holds the work that waits for the thread, the programs of the documents used last, and the
    latest warnings. Does not know which rules are in force: the databases do.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=_THREAD)
        self._waiting: Turns[_Work] = Turns()
        self._is_running = False
        # Key: the document, whether it is open, and whether it was checked before it was saved.
        self._kept: OrderedDict[tuple[bytes, bool, bool], Rules] = OrderedDict()
        self._kept_bytes = 0
        # Key: the ids of rules and catalog; weak references, so that this keeps neither alive.
        self._warned: OrderedDict[
            tuple[int, int], tuple[weakref.ref[Rules], weakref.ref[Catalog], Warned]
        ] = OrderedDict()

    async def save(self, document: Any, *, is_open: bool, turn_key: TurnKey = SERVER) -> Rules:
        """Check and compile a document that a caller wants to put in force, or to try.

        document   decoded JSON of any shape; None, or empty, is no rules
        turn_key      the turn it takes
        raises     InvalidInput("validation-failed", data-type "rule") that names every mistake,
                   Unavailable("overloaded") when too much waits
        """
        if not document:
            return Rules.parse(None, is_open=is_open)
        text = document_json(document)
        key = (text, is_open, True)
        found = self._find(key)
        if found is not None:
            return found

        def compiled() -> Rules:
            # Work before this may have compiled the same document.
            return self._kept.get(key) or Rules.parse(document, is_open=is_open)

        return self._keep(key, await self._run(turn_key, compiled))

    async def warnings(
        self, rules: Rules, catalog: Catalog, *, turn_key: TurnKey = SERVER
    ) -> Warned:
        """Probable mistakes in rules for an app with this catalog.

        They are looked for once for the same rules and catalog, as long as both are in use.
        raises   Unavailable("overloaded") when too much waits
        """
        if rules.source is None:
            return []
        found = self._find_warned(rules, catalog)
        if found is not None:
            return found

        def looked_for() -> Warned:
            found = self._find_warned(rules, catalog)
            return warnings_wire(rules, catalog) if found is None else found

        found = await self._run(turn_key, looked_for)
        self._warned[id(rules), id(catalog)] = (weakref.ref(rules), weakref.ref(catalog), found)
        while len(self._warned) > limits.RULES_WARNED_KEPT:
            self._warned.popitem(last=False)
        return found

    async def load(self, document: Any, *, is_open: bool) -> Rules:
        """Compile the stored rules of an app that is being opened.

        They were checked when they were saved, perhaps by an earlier version with other bounds. So
        nothing is refused here (see `Rules.parse`).
        """
        if not document:
            return Rules.parse(None, is_open=is_open)
        text = orjson.dumps(document)
        found = self._find((text, is_open, True)) or self._find((text, is_open, False))
        if found is not None:
            return found
        rules = await asyncio.to_thread(Rules.parse, document, is_open=is_open, is_stored=True)
        return self._keep((text, is_open, False), rules)

    def close(self) -> None:
        """End the thread, and drop the work that waits for it."""
        for work in self._waiting.take_all():
            _refuse(work, "The server is stopping. Try again in a moment.")
        self._thread.shutdown(cancel_futures=True)

    async def _run(self, turn_key: TurnKey, run: Callable[[], T]) -> T:
        """Run `run` on the thread when the turn of `turn_key` comes."""
        self._make_room(turn_key)
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        work = _Work(turn_key, run, done)
        self._waiting.add(turn_key, work)
        self._start_next()
        try:
            return await done
        finally:
            self._waiting.discard(turn_key, work)

    def _make_room(self, turn_key: TurnKey) -> None:
        """Make room for one more: if need be, the network that has most loses its newest."""
        network, _ = turn_key
        count = self._waiting.count_of(network)
        if turn_key != SERVER and count >= limits.RULES_SAVES_WAITING_OF_NETWORK_MAX:
            raise Unavailable("overloaded", _TOO_MANY)
        if len(self._waiting) + self._is_running >= limits.RULES_SAVES_WAITING_MAX:
            is_less = count + 1 < self._waiting.most
            newest = self._waiting.take_newest_of_most() if is_less else None
            if newest is None:
                raise Unavailable("overloaded", _TOO_MANY)
            _refuse(newest, _TOO_MANY)

    def _start_next(self) -> None:
        if self._is_running:
            return
        work = self._waiting.take(lambda network: True)
        if work is not None:
            self._is_running = True
            future = asyncio.get_running_loop().run_in_executor(self._thread, work.run)
            future.add_done_callback(lambda ended: self._end(work, ended))

    def _end(self, work: _Work, ended: asyncio.Future[Any]) -> None:
        self._is_running = False
        failure = None if ended.cancelled() else ended.exception()
        if not work.done.done():
            if ended.cancelled():
                work.done.cancel()
            elif failure is not None:
                work.done.set_exception(failure)
            else:
                work.done.set_result(ended.result())
        # Only after the caller has kept the outcome: the next work may want the same.
        asyncio.get_running_loop().call_soon(self._start_next)

    def _find_warned(self, rules: Rules, catalog: Catalog) -> Warned | None:
        found = self._warned.get((id(rules), id(catalog)))
        # The id may have been that of an object that is gone.
        if found is None or found[0]() is not rules or found[1]() is not catalog:
            return None
        return found[2]

    def _find(self, key: tuple[bytes, bool, bool]) -> Rules | None:
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def _keep(self, key: tuple[bytes, bool, bool], rules: Rules) -> Rules:
        if key not in self._kept:
            self._kept[key] = rules
            self._kept_bytes += len(key[0])
        while self._kept_bytes > limits.RULES_KEPT_BYTES_MAX:
            oldest, _ = self._kept.popitem(last=False)
            self._kept_bytes -= len(oldest[0])
        return rules


def _refuse(work: _Work, told: str) -> None:
    if not work.done.done():
        work.done.set_exception(Unavailable("overloaded", told))


def document_json(document: Any) -> bytes:
    """A rules document as it is stored; raises InvalidInput when it is too large to be."""
    try:
        text = orjson.dumps(document)
    except orjson.JSONEncodeError as cause:
        # JSON can be read with more levels than can be written.
        raise _refused("Rules nest less deeply, and whole numbers have 64 bits.") from cause
    if len(text) > limits.RULES_BYTES_MAX:
        raise _refused(
            f"The rules have {len(text):,} bytes of JSON; at most {limits.RULES_BYTES_MAX:,} are"
            " accepted."
        )
    if not _has_few_values(document):
        raise _refused(f"The rules have more than {limits.RULES_VALUES_MAX:,} values and objects.")
    return text


def _has_few_values(document: Any) -> bool:
    waiting = [document]
    count = 0
    while waiting:
        value = waiting.pop()
        members = value.values() if isinstance(value, dict) else value
        count += 1
        if isinstance(value, (dict, list)):
            if count + len(waiting) + len(value) > limits.RULES_VALUES_MAX:
                return False
            waiting.extend(members)
    return True


def _refused(problem: str) -> InvalidInput:
    return invalid("rule", None, [{"message": problem, "in": []}])
