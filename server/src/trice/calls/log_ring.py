"""The log of an app's functions: lines in files that are thrown away as new ones come. No rows: a
log must wake no query.

    functions/APP/logs/00000000000000000000.log   lines of JSON; the name is the place of its first
                                                  byte since the app has a log

A place is the number of such a byte. Lines wait in memory until they are in a file, up to
LOG_WAITING_BYTES; what comes beyond that is dropped, and a line says how many.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from trice import function_limits as limits
from trice.calls.side import Level
from trice.errors import Unavailable
from trice.log import fields
from trice.protocol.ids import AppId
from trice.runtime import Runtime

logger: Final = logging.getLogger("trice.functions")

LEVELS: Final[tuple[Level, ...]] = ("debug", "info", "warning", "error")


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line.

    at         when, ms
    function   of which function; "" while its code was loaded
    trace      W3C trace id; "" likewise
    """

    at: int
    level: Level
    function: str
    trace: str
    text: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines: None or "" is any.

    trace   a trace id, or its beginning
    level   the least severe
    """

    function: str = ""
    trace: str = ""
    level: Level = "debug"

    def has(self, line: Line) -> bool:
        return (
            self.function in ("", line.function)
            and line.trace.startswith(self.trace)
            and LEVELS.index(line.level) >= LEVELS.index(self.level)
        )


@dataclass(slots=True)
class _Waiting:
    """Lines of an app that are in no file yet. Invariant: `size_bytes` is that of `lines`."""

    lines: list[bytes] = field(default_factory=list)
    size_bytes: int = 0
    dropped: int = 0
    flushing: asyncio.Task[None] | None = None


class Logs:
    """The logs of all apps. Holds lines that are not written yet, and who waits for new ones.

    on_line   hears of each line of any app
    mask      takes secrets out of a text
    """

    def __init__(self, folder: Path, *, runtime: Runtime) -> None:
        """folder   the one of `BundleStore`"""
        self.mask: Callable[[AppId, str], str] = lambda app_id, text: text
        self.on_line: Callable[[Line], object] = lambda line: None
        self._folder = folder
        self._runtime = runtime
        self._waiting: dict[AppId, _Waiting] = {}
        self._news: dict[AppId, asyncio.Event] = {}
        self._followers: Counter[AppId] = Counter()

    def note(self, app_id: AppId, *, function: str, trace: str, level: Level, text: str) -> None:
        """Add a line; it is in the file a moment later."""
        most = limits.LOG_TEXT_CHARS_MAX
        text = self.mask(app_id, text[:most])[:most]
        line = Line(
            at=self._runtime.now_ms(), level=level, function=function, trace=trace, text=text
        )
        waiting = self._waiting.setdefault(app_id, _Waiting())
        self.on_line(line)
        raw = msgspec.json.encode(line) + b"\n"
        if waiting.size_bytes + len(raw) > limits.LOG_WAITING_BYTES:
            waiting.dropped += 1
            return
        waiting.lines.append(raw)
        waiting.size_bytes += len(raw)
        if waiting.flushing is None:
            waiting.flushing = asyncio.get_running_loop().create_task(self._flush(app_id))

    def note_outside(self, app_id: str, level: str, text: str) -> None:
        """Add a line that was written outside of calls, such as while code was loaded."""
        severity: Level = next((each for each in LEVELS if each == level), "info")
        self.note(AppId(app_id), function="", trace="", level=severity, text=text)

    async def flush(self) -> None:
        """Wait until every line is in its file."""
        while tasks := [each.flushing for each in self._waiting.values() if each.flushing]:
            await asyncio.gather(*tasks)

    async def close(self) -> None:
        """Write what waits."""
        await self.flush()

    async def read(
        self, app_id: AppId, *, after: int | None, wanted: Wanted
    ) -> tuple[list[Line], int]:
        """Lines from a place on, and the place behind them. LOG_PAGE_BYTES are looked at; what was
        thrown away is skipped.

        after   None: the newest LOG_TAIL_BYTES
        """
        await self.flush()
        raw, place = await asyncio.to_thread(_read, self._of(app_id), after)
        lines = [msgspec.json.decode(each, type=Line) for each in raw.splitlines() if each]
        return [line for line in lines if wanted.has(line)], place

    async def follow(
        self, app_id: AppId, *, after: int | None, wanted: Wanted
    ) -> AsyncGenerator[tuple[list[Line], int], None]:
        """Lines from a place on, then those that come, each time with the place behind them, for
        LOG_FOLLOW_MS; whoever wants more asks again from there. Without news it yields no lines
        every LOG_QUIET_MS, so that a caller who left is noticed.

        raises   Unavailable("overloaded") when too many follow the log of this app
        """
        if self._followers[app_id] >= limits.LOG_FOLLOWERS_MAX:
            told = f"{limits.LOG_FOLLOWERS_MAX} follow the log of this app already."
            raise Unavailable("overloaded", told)
        self._followers[app_id] += 1
        ends_ms = self._runtime.monotonic_ms() + limits.LOG_FOLLOW_MS
        try:
            while self._runtime.monotonic_ms() < ends_ms:
                news = self._news.setdefault(app_id, asyncio.Event())
                lines, place = await self.read(app_id, after=after, wanted=wanted)
                is_more, after = place != after, place
                yield lines, place
                if not is_more:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(limits.LOG_QUIET_MS / 1000):
                            await news.wait()
        finally:
            self._followers[app_id] -= 1
            if not self._followers[app_id]:
                del self._followers[app_id]

    def _of(self, app_id: AppId) -> Path:
        return self._folder / app_id / "logs"

    async def _flush(self, app_id: AppId) -> None:
        waiting = self._waiting[app_id]
        while waiting.lines:
            raw = b"".join(waiting.lines)
            dropped, waiting.dropped = waiting.dropped, 0
            waiting.lines.clear()
            waiting.size_bytes = 0
            if dropped:
                told = f"{dropped:,} lines came faster than they could be kept"
                lost = Line(
                    at=self._runtime.now_ms(), level="warning", function="", trace="", text=told
                )
                raw += msgspec.json.encode(lost) + b"\n"
            try:
                await asyncio.to_thread(_append, self._of(app_id), raw)
            except OSError as failure:
                logger.error("log not written %s", fields(app=app_id, reason=str(failure)))
        del self._waiting[app_id]
        news = self._news.pop(app_id, None)
        if news is not None:
            news.set()


# --- files: on threads ----------------------------------------------------------------------------


def _segments(folder: Path) -> list[tuple[int, Path]]:
    """The files of a log with the places of their first bytes, oldest first."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted((int(path.stem), path) for path in found if path.suffix == ".log")


def _append(folder: Path, raw: bytes) -> None:
    segments = _segments(folder)
    if not segments:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        segments = [(0, folder / f"{0:020}.log")]
    start, path = segments[-1]
    size_bytes = path.stat().st_size if path.exists() else 0
    if size_bytes >= limits.LOG_SEGMENT_BYTES:
        path = folder / f"{start + size_bytes:020}.log"
        segments.append((start + size_bytes, path))
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
        file.write(raw)
    kept = limits.LOG_BYTES_MAX // limits.LOG_SEGMENT_BYTES - 1
    for _, old in segments[:-kept]:
        old.unlink(missing_ok=True)


def _read(folder: Path, after: int | None) -> tuple[bytes, int]:
    """Whole lines from a place on, and the place behind them."""
    segments = _segments(folder)
    if not segments:
        return b"", 0
    end = segments[-1][0] + segments[-1][1].stat().st_size
    is_tail = after is None
    place = max(end - limits.LOG_TAIL_BYTES, 0) if after is None else min(after, end)
    if place < segments[0][0]:
        place, is_tail = segments[0][0], False
    start, path = next((each for each in reversed(segments) if each[0] <= place), segments[0])
    with path.open("rb") as file:
        file.seek(place - start)
        raw = file.read(limits.LOG_PAGE_BYTES)
    skipped = 0
    if is_tail and place > start:
        skipped = raw.find(b"\n") + 1
    whole = raw.rfind(b"\n") + 1
    return raw[skipped:whole], place + whole
