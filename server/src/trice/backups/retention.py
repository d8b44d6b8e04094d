"""Which backups are deleted, and then which objects: those that no manifest names.

source   spec/backups.md BK40-BK49
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Final

from trice import backup_limits as limits
from trice.backups.fetch import fetch, groups_of
from trice.backups.listing import FoundBackups
from trice.backups.log_area import LOG, expire_log, find_bases, named_hashes, read_base
from trice.backups.manifest import Manifest, Piece
from trice.backups.vaults import BACKUPS, OBJECTS, Vault
from trice.errors import InvalidInput

_DIGITS: Final = "0123456789abcdef"
_LINES_AT_ONCE: Final = 5_000


async def expire(
    vault: Vault,
    found: FoundBackups,
    made: Manifest,
    keep: int,
    *,
    is_sweeping: asyncio.Lock | None,
) -> tuple[list[str], str | None]:
    """Delete backups of the same kind as `made` that are older than the newest `keep` good ones,
    then the log and the objects that only they need. The vault must be claimed.

    is_sweeping   is held meanwhile, for a server that ships its log; None: it is another process

    returns   names of deleted backups, and why no object was deleted; None if they were
    """
    assert keep >= 1, "the last good backup stays"
    same = [each for each in found.manifests if each.app == made.app]
    good = [each.begun_ms for each in same if each.is_good]
    expired: list[str] = []
    if len(good) > keep:
        oldest = good[-keep]
        expired = [each.name for each in same if each.begun_ms < oldest]
        await vault.delete([f"{BACKUPS}{name}" for name in expired])
    if found.damaged:
        # Nobody knows which objects it names.
        names = ", ".join(found.damaged)
        return expired, f"Nothing is swept while there are damaged manifests: {names}."
    stay = [each for each in found.manifests if each.name not in expired]
    if is_sweeping is None:
        if await vault.folders(LOG):
            # What it has put there and not named yet would go.
            return expired, "Nothing is swept: a server ships its log there, and sweeps itself."
        return expired, await _sweep(vault, stay)
    async with is_sweeping:
        whole = [each.begun_ms for each in stay if each.app is None and each.is_good]
        if whole:
            await expire_log(vault, min(whole))
        return expired, await _sweep(vault, stay)


async def _sweep(vault: Vault, manifests: list[Manifest]) -> str | None:
    """Delete the objects that no manifest names: a part of the hashes at a time, so that memory
    holds no more than limits.SWEEP_HASHES_MAX of them."""
    parts = [part for each in manifests for part in each.apps]
    kept = {piece.hash for each in manifests for piece in each.pieces()}
    try:
        bases = [(await read_base(vault, key)).part for key in await find_bases(vault)]
    except (InvalidInput, FileNotFoundError) as failure:
        return f"Nothing is swept. {failure}"
    parts += bases
    kept.update(piece.hash for part in bases for piece in part.pieces())
    kept |= await named_hashes(vault)
    lists = {part.files.listed for part in parts if part.files}
    count = sum(part.files.count for part in parts if part.files)
    return await sweep_objects(vault, kept, lists, count)


async def sweep_objects(
    vault: Vault, kept: set[str], lists: Collection[Piece], count: int
) -> str | None:
    """Delete all objects but those with the hashes `kept`, and those named by some lists of files.
    The vault must be claimed.

    count     how many files the lists name, at most
    returns   why nothing was deleted; None if it was
    """
    passes = min(-(-count // limits.SWEEP_HASHES_MAX) or 1, len(_DIGITS))
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number, listed in enumerate(sorted(lists, key=lambda piece: piece.hash)):
            path = Path(folder, str(number))
            try:
                await fetch(vault, listed, path, "a list of files")
            except InvalidInput as failure:
                return f"Nothing is swept. {failure.message}"
            paths.append(path)
        size = -(-len(_DIGITS) // passes)
        for start in range(0, len(_DIGITS), size):
            digits = _DIGITS[start : start + size]
            named = set(kept)
            for path in paths:
                async for group in groups_of(path, _LINES_AT_ONCE):
                    named.update(piece.hash for piece in group if piece.hash[0] in digits)
            await _delete_others(vault, digits, named)
    return None


async def _delete_others(vault: Vault, digits: str, named: set[str]) -> None:
    page: list[str] = []
    for first in digits:
        for second in _DIGITS:
            async for key in vault.list(f"{OBJECTS}{first}{second}/"):
                if key.rpartition("/")[2] not in named:
                    page.append(key)
                if len(page) == limits.DELETED_AT_ONCE:
                    await vault.delete(page)
                    page = []
    if page:
        await vault.delete(page)
