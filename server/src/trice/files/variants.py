"""Image variants: made when first asked for, kept on disk, made once for all who ask.

    asked ──> kept ──────────────────────────────────────────> opened
      └─────> being made: wait with the others ─────────────────^
      └─────> queue ──> a process (`resize`) writes it ──> kept ──^     or: no image, remembered

The folder is a cache: whoever empties it loses nothing but time. The variants that nobody asked for
longest are removed, by size, number and age.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import orjson

from trice import download_limits as limits
from trice.auth.throttle import Throttle
from trice.background import Background, Places
from trice.errors import InvalidInput, TriceError, Unavailable, invalid
from trice.files.local_bytes import LocalBytes
from trice.files.resize import Order
from trice.files.threads import FileThreads
from trice.files.variant import READABLE, Variant
from trice.metrics import VariantCounts
from trice.rate_limit import RateLimit
from trice.runtime import Runtime

_PROGRAM: Final = Path(__file__).with_name("resize.py")
_HASH: Final = re.compile("[0-9a-f]{64}")
_UNFINISHED: Final = ".unfinished-"
_KEPT_VARIABLES: Final = ("PATH", "LD_LIBRARY_PATH", "LANG")
"""What the process is told of our environment, which holds secrets."""

_RATE: Final = RateLimit(
    limits.IMAGES_OF_NETWORK, limits.IMAGES_OF_NETWORK, limits.IMAGES_PERIOD_MS
)


@dataclass(frozen=True, slots=True)
class Source:
    """The image that a variant is made of.

    path   its file; None when its bytes are elsewhere
    read   all of its bytes, in pieces
    """

    app_id: str
    hash: str
    size: int
    path: Path | None
    read: Callable[[], AsyncGenerator[bytes, None]]


@dataclass(slots=True)
class _Kept:
    size: int
    used_ms: int


class Variants:
    """Holds which variants are on disk, and those that are being made. Does not know rows or URLs.

    Invariant: `_kept` is in the order of use, and `_kept_bytes` the sum of its sizes.
    """

    def __init__(
        self,
        folder: Path,
        *,
        runtime: Runtime,
        background: Background,
        throttle: Throttle,
        threads: FileThreads,
    ) -> None:
        """
        folder   holds nothing else; made when it is first needed
        threads  read and write what is in it
        """
        self.counts = VariantCounts()
        self._folder = folder
        self._threads = threads
        self._runtime = runtime
        self._throttle = throttle
        self._queue = background.queue(
            "image-variants",
            Places(limits.IMAGES_AT_ONCE, limits.IMAGES_WAITING_MAX),
            minor=Places(limits.IMAGES_EPHEMERAL_AT_ONCE, limits.IMAGES_EPHEMERAL_WAITING_MAX),
        )
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._kept_bytes = 0
        self._loading: asyncio.Future[None] | None = None
        self._making: dict[str, asyncio.Future[None]] = {}
        self._unreadable: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._count = 0

    @property
    def kept(self) -> int | None:
        """How many variants are on disk; None before anybody asked for one."""
        return None if self._loading is None else len(self._kept)

    @property
    def kept_bytes(self) -> int | None:
        """Their bytes; None as for `kept`."""
        return None if self._loading is None else self._kept_bytes

    def start(self, background: Background) -> None:
        """Begin to remove variants that nobody asks for."""
        background.every("sweep-variants", limits.VARIANTS_SWEEP_MS, self._sweep)

    async def open(
        self, variant: Variant, source: Source, *, network: str, is_minor: bool
    ) -> LocalBytes:
        """Open a variant, made now if it is not there. The caller closes it.

        network    of the caller, who may have only so many made
        is_minor   its app is one that anybody may make
        raises     InvalidInput("validation-failed") for what is no image that can be read;
                   LimitExceeded("rate-limited"), Unavailable
        """
        await self._load()
        assert _HASH.fullmatch(source.hash), "names of files are made of it"
        name = f"{source.app_id}/{source.hash}-{variant.name}"
        if name in self._kept:
            opened = await self._open_kept(name)
            if opened is not None:
                self.counts.found += 1
                return opened
        await self._made(name, variant, source, network=network, is_minor=is_minor)
        opened = await self._open_kept(name)
        if opened is None:
            raise Unavailable("overloaded", "The variant was removed at once; try again.")
        return opened

    async def _open_kept(self, name: str) -> LocalBytes | None:
        """Open what is kept, and note that it was used; None if somebody removed the file."""
        now_ms = self._runtime.now_ms()
        kept = self._kept.get(name)
        if kept is not None:
            kept.used_ms = now_ms
            self._kept.move_to_end(name)
        try:
            return await LocalBytes.open(self._folder / name, threads=self._threads, used_ms=now_ms)
        except FileNotFoundError:
            self._forget(name)
            return None

    async def _made(
        self, name: str, variant: Variant, source: Source, *, network: str, is_minor: bool
    ) -> None:
        """Wait until a variant is made: by this call, or by another that came before."""
        outcome = self._making.get(name)
        if outcome is None:
            self._check_readable(source)
            self.charge(network)
            outcome = self._queue.submit(
                lambda: self._make(name, variant, source), is_minor=is_minor
            )
            self._making[name] = outcome
            outcome.add_done_callback(lambda _: self._making.pop(name))
            outcome.add_done_callback(_note_failure)
        # A caller that leaves leaves the others their variant.
        await asyncio.shield(outcome)

    def charge(self, network: str) -> None:
        """Count one variant made for a network.

        raises   LimitExceeded("rate-limited")
        """
        self._throttle.take(("image-variants", network), _RATE, "Too many image variants.")

    def _check_readable(self, source: Source) -> None:
        problem = self._unreadable.get((source.app_id, source.hash))
        if problem is None and source.size > limits.IMAGE_BYTES_MAX:
            problem = f"it has {source.size:,} bytes; {limits.IMAGE_BYTES_MAX:,} are accepted"
        if problem is not None:
            raise _no_image(problem)

    async def _make(self, name: str, variant: Variant, source: Source) -> None:
        self._count += 1
        unfinished = self._folder / f"{_UNFINISHED}{self._count}"
        copy = self._folder / f"{_UNFINISHED}{self._count}-source"
        target = self._folder / name
        try:
            await self._threads.run(partial(target.parent.mkdir, parents=True, exist_ok=True))
            path = source.path
            if path is None:
                await self._copy(source, copy)
                path = copy
            problem = await _resize(path, unfinished, variant)
            if problem is not None:
                self._note_unreadable(source, problem)
                raise _no_image(problem)
            size = await self._threads.run(_finish, unfinished, target)
            self._forget(name)
            self._kept[name] = _Kept(size, self._runtime.now_ms())
            self._kept_bytes += size
            self.counts.made += 1
            await self._remove(self._excess())
        except TriceError:
            self.counts.failed += 1
            raise
        finally:
            for path in (unfinished, copy):
                path.unlink(missing_ok=True)

    async def _copy(self, source: Source, path: Path) -> None:
        """Write the bytes of an image to a file of ours."""
        with path.open("xb") as file:
            async with aclosing(source.read()) as pieces:
                async for piece in pieces:
                    await self._threads.run(file.write, piece)

    def _note_unreadable(self, source: Source, problem: str) -> None:
        self._unreadable[source.app_id, source.hash] = problem
        if len(self._unreadable) > limits.UNREADABLE_IMAGES_MAX:
            self._unreadable.popitem(last=False)

    # --- what is kept ------------------------------------------------------------------------

    async def _load(self) -> None:
        """Find what an earlier process left, once."""
        if self._loading is None or _has_failed(self._loading):
            self._loading = asyncio.ensure_future(self._read_folder())
        await asyncio.shield(self._loading)

    async def _read_folder(self) -> None:
        self._kept, self._kept_bytes = await self._threads.run(_scan, self._folder)
        await self._remove(self._excess())

    async def _sweep(self, late_ms: float) -> None:
        del late_ms
        await self._load()
        before_ms = self._runtime.now_ms() - limits.VARIANT_KEPT_MS
        names = []
        for name, kept in self._kept.items():
            if kept.used_ms > before_ms:
                break
            names.append(name)
        await self._remove(names)

    def _excess(self) -> list[str]:
        """The names of those unused for longest, as many as are too many. The newest stays:
        somebody waits for it."""
        names = []
        count, size = len(self._kept), self._kept_bytes
        for name, kept in self._kept.items():
            has_room = count <= limits.VARIANTS_MAX and size <= limits.VARIANTS_BYTES_MAX
            if has_room or count == 1:
                break
            names.append(name)
            count, size = count - 1, size - kept.size
        return names

    async def _remove(self, names: list[str]) -> None:
        for name in names:
            self._forget(name)
        if names:
            await self._threads.run(_unlink, [self._folder / name for name in names])

    def _forget(self, name: str) -> None:
        kept = self._kept.pop(name, None)
        if kept is not None:
            self._kept_bytes -= kept.size


async def _resize(source: Path, target: Path, variant: Variant) -> str | None:
    """Run the process that makes a variant; return what is wrong with the image, if anything.

    raises   Unavailable("timeout")
    """
    order: Order = {
        "source": str(source),
        "target": str(target),
        "sides": (variant.width, variant.height),
        "is_cover": variant.fit == "cover",
        "format": variant.format,
        "quality": variant.quality,
        "pixels_max": limits.IMAGE_PIXELS_MAX,
        "memory_bytes_max": limits.IMAGE_MEMORY_BYTES_MAX,
        "cpu_s_max": limits.IMAGE_CPU_S_MAX,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", str(_PROGRAM), orjson.dumps(order).decode()),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ},
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(limits.IMAGE_TIMEOUT_MS / 1000):
            told = await process.stdout.read(4096)
            await process.wait()
    except TimeoutError:
        raise Unavailable("timeout", "Making the variant took too long; try again.") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode or not told:
        return "decoding it takes too much memory or time"
    problem = orjson.loads(told).get("problem")
    return None if problem is None else str(problem)


def _finish(unfinished: Path, target: Path) -> int:
    size = unfinished.stat().st_size
    unfinished.rename(target)
    return size


def _scan(folder: Path) -> tuple[OrderedDict[str, _Kept], int]:
    """The variants in a folder in the order of use, and their bytes; what was left unfinished is
    removed."""
    found: list[tuple[int, str, int]] = []
    with suppress(FileNotFoundError):
        for entry in os.scandir(folder):
            if entry.name.startswith(_UNFINISHED):
                os.unlink(entry.path)
            elif entry.is_dir(follow_symlinks=False):
                for each in os.scandir(entry.path):
                    told = each.stat(follow_symlinks=False)
                    name = f"{entry.name}/{each.name}"
                    found.append((told.st_mtime_ns // 1_000_000, name, told.st_size))
    kept = OrderedDict((name, _Kept(size, used_ms)) for used_ms, name, size in sorted(found))
    return kept, sum(size for _, _, size in found)


def _unlink(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
        with suppress(OSError):
            path.parent.rmdir()  # only when it was the last of its app


def _no_image(problem: str) -> InvalidInput:
    message = f"The file has no variants: {problem}. {READABLE} are accepted."
    return invalid("image", None, [{"message": message}], message=message)


def _has_failed(loading: asyncio.Future[None]) -> bool:
    return loading.done() and (loading.cancelled() or loading.exception() is not None)


def _note_failure(outcome: asyncio.Future[None]) -> None:
    """Look at a failure, as the callers who waited for it may all have left."""
    if not outcome.cancelled():
        failure = outcome.exception()
        assert failure is None or isinstance(failure, TriceError | OSError)
