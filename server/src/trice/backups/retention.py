"""Which backups are deleted, and then which objects: those that no manifest names.

source   spec/backups.md BK40-BK49
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from trice import backup_limits as limits
from trice.backups.fetch import fetch, groups_of
from trice.backups.listing import FoundBackups
from trice.backups.manifest import Manifest
from trice.backups.vaults import BACKUPS, OBJECTS, Vault
from trice.errors import InvalidInput

_DIGITS: Final = "0123456789abcdef"
_LINES_AT_ONCE: Final = 5_000


async def expire(
    vault: Vault, found: FoundBackups, made: Manifest, keep: int
) -> tuple[list[str], str | None]:
    """Delete backups of the same kind as `made` that are older than the newest `keep` good ones,
    then the objects that only they named. The vault must be claimed.

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
    return expired, await _sweep(vault, stay)


async def _sweep(vault: Vault, manifests: list[Manifest]) -> str | None:
    """Delete the objects that no manifest names: a part of the hashes at a time, so that memory
    holds no more than limits.SWEEP_HASHES_MAX of them."""
    lists = {part.files.listed for each in manifests for part in each.apps if part.files}
    count = sum(part.files.count for each in manifests for part in each.apps if part.files)
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
            named = {piece.hash for each in manifests for piece in each.pieces()}
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
