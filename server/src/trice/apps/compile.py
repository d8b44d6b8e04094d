"""Rules documents, checked and compiled: one at a time when saved, once for each app in use.

Compiling takes up to half a second of a thread. Documents that are saved have a thread and a queue
of their own, so that many of them neither hold up apps that are opened nor each other's order.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

import orjson

from trice import limits
from trice.errors import InvalidInput, Unavailable, invalid
from trice.rules.document import Rules

_THREAD: Final = "trice-rules"


class Compiler:
    """Compiles the rules of all apps.

    Holds how many documents wait to be saved, and the programs of those used last. Does not hold
    which rules are in force: the databases do.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=_THREAD)
        self._waiting = 0
        # By the document, what holds without rules, and whether it was checked before it was saved.
        self._kept: OrderedDict[tuple[bytes, bool, bool], Rules] = OrderedDict()
        self._kept_bytes = 0

    async def save(self, document: Any, *, is_open: bool) -> Rules:
        """Check and compile a document that somebody wants to put in force, or to try.

        document   decoded JSON of any shape; None, or empty, is no rules
        raises     InvalidInput("validation-failed", data-type "rule") that names every mistake,
                   Unavailable("overloaded") when limits.RULES_SAVES_WAITING_MAX wait
        """
        if not document:
            return Rules.parse(None, is_open=is_open)
        text = document_json(document)
        key = (text, is_open, True)
        found = self._find(key)
        if found is not None:
            return found
        if self._waiting >= limits.RULES_SAVES_WAITING_MAX:
            raise Unavailable("overloaded", "Too many rules wait to be checked. Try again later.")
        self._waiting += 1
        try:
            work = partial(Rules.parse, document, is_open=is_open)
            rules = await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._waiting -= 1
        return self._keep(key, rules)

    async def load(self, document: Any, *, is_open: bool) -> Rules:
        """Compile the stored rules of an app that is being opened.

        They were checked when they were saved, perhaps by an earlier version with other bounds:
        nothing is refused (see `Rules.parse`).
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
        """End the thread; what waits for it is given up."""
        self._thread.shutdown(cancel_futures=True)

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


def document_json(document: Any) -> bytes:
    """A rules document as it is stored; raises InvalidInput when it is too large to be."""
    try:
        text = orjson.dumps(document)
    except orjson.JSONEncodeError as cause:
        # It can be read deeper than it can be written.
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
