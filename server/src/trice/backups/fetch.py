"""Taking objects out of a vault, each held against its hash."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from itertools import islice
from pathlib import Path

from trice.backups.manifest import Piece, damaged, list_pieces
from trice.backups.pace import on_thread
from trice.backups.vaults import Vault, hash_file, object_key


async def fetch(
    vault: Vault, piece: Piece, path: Path, what: str, *, may_link: bool = True
) -> None:
    """Write an object to a new file.

    what       what it is, for the error
    may_link   nobody changes the file
    raises     InvalidInput when it is missing or damaged
    """
    key = object_key(piece.hash)
    try:
        await vault.fetch(key, path, may_link=may_link)
    except FileNotFoundError:
        raise damaged(f"The backup lacks {what}: there is no {key} in {vault.name}.") from None
    if await on_thread(partial(hash_file, path)) != (piece.hash, piece.size):
        raise damaged(f"The backup is damaged in {what}: {key} in {vault.name} has another hash.")


async def groups_of(path: Path, count: int) -> AsyncIterator[list[Piece]]:
    """The files of a list, `count` at a time."""
    with open(path, "rb") as file:  # noqa: ASYNC230 opening takes microseconds
        pieces = list_pieces(file)
        while group := await asyncio.to_thread(lambda: list(islice(pieces, count))):
            yield group
