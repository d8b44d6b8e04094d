"""A vault in a bucket that speaks S3, by `obstore`.

A bucket has no lock that ends with its holder. The object `lock` says who writes and until when; it
is renewed meanwhile. Two that write it at the same moment both see that they are not alone, because
each has a key of its own, and both give up.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import obstore

from trice import backup_limits as limits
from trice import file_limits
from trice.backups.vaults import too_large
from trice.errors import TriceError, Unavailable
from trice.files.files_url import S3Place
from trice.files.s3 import open_bucket, told
from trice.runtime import Runtime, new_uuid

_OF: Final = "the backups"
_LOCKS: Final = "lock/"


class BucketVault:
    """See `vaults.Vault`."""

    def __init__(self, place: S3Place, *, flag: str, runtime: Runtime) -> None:
        """Nothing is sent yet. Raises InvalidInput when variables do not fit each other."""
        self._place = place
        self._runtime = runtime
        self._store = open_bucket(place, flag=flag)

    @property
    def name(self) -> str:
        return f"s3://{self._place.bucket}/{self._place.prefix}"

    async def put(self, key: str, path: Path, *, is_ours: bool) -> None:
        size = (await asyncio.to_thread(path.stat)).st_size
        part = max(file_limits.S3_PART_BYTES, -(-size // file_limits.S3_PARTS_MAX))
        with told(_OF):
            await obstore.put_async(
                self._store,
                key,
                path,
                chunk_size=part,
                max_concurrency=file_limits.S3_PARTS_AT_ONCE,
            )
        if is_ours:
            await asyncio.to_thread(path.unlink)

    async def put_bytes(self, key: str, data: bytes) -> None:
        with told(_OF):
            await obstore.put_async(self._store, key, data)

    async def size(self, key: str) -> int | None:
        try:
            with told(_OF):
                return (await obstore.head_async(self._store, key))["size"]
        except FileNotFoundError:
            return None

    async def fetch(self, key: str, path: Path, *, may_link: bool) -> None:
        with open(path, "xb", buffering=0) as file:  # noqa: ASYNC230 opening takes microseconds
            async for piece in self._pieces(key):
                await asyncio.to_thread(file.write, piece)

    async def hash_of(self, key: str) -> tuple[str, int]:
        made, size = hashlib.sha256(), 0
        async for piece in self._pieces(key):
            await asyncio.to_thread(made.update, piece)
            size += len(piece)
        return made.hexdigest(), size

    async def read(self, key: str, bytes_max: int) -> bytes:
        size = await self.size(key)
        if size is None:
            raise FileNotFoundError(key)
        if size > bytes_max:
            raise too_large(key)
        return b"".join([bytes(piece) async for piece in self._pieces(key)])

    async def list(self, prefix: str) -> AsyncIterator[str]:
        pages = obstore.list(
            self._store, prefix.rstrip("/"), chunk_size=file_limits.LIST_PAGE_BLOBS
        )
        while True:
            with told(_OF):
                page = await anext(aiter(pages), None)
            if page is None:
                break
            for found in page:
                name = found["path"].rpartition("/")[2]
                yield f"{prefix}{name}"

    async def folders(self, prefix: str) -> Sequence[str]:
        with told(_OF):
            found = await obstore.list_with_delimiter_async(self._store, prefix.rstrip("/"))
        return sorted(each.strip("/").rpartition("/")[2] for each in found["common_prefixes"])

    async def begin_shipping(self) -> None:
        """Nothing is to be made ready."""

    async def delete(self, keys: Sequence[str]) -> None:
        try:
            with told(_OF):
                await obstore.delete_async(self._store, keys)
        except FileNotFoundError:
            return

    @asynccontextmanager
    async def claimed(self) -> AsyncIterator[None]:
        key = f"{_LOCKS}{new_uuid(self._runtime)}"
        await self._renew(key)
        try:
            others = [other async for other in self.list(_LOCKS) if other != key]
            for other in others:
                if await self._is_held(other):
                    raise Unavailable(
                        "overloaded",
                        f"Another process is writing to {self.name}, or was killed less than"
                        f" {limits.LOCK_MS // 60_000} minutes ago. Try again.",
                    )
            await self.delete(others)
            is_renewing = asyncio.Lock()
            renewing = asyncio.get_running_loop().create_task(self._keep(key, is_renewing))
            try:
                yield
            finally:
                async with is_renewing:  # a renewal that was sent would outlive its deletion
                    renewing.cancel()
        finally:
            await self.delete([key])

    @asynccontextmanager
    async def scratch(self, other: Path) -> AsyncIterator[Path]:
        await asyncio.to_thread(other.mkdir, 0o700, True, True)
        with tempfile.TemporaryDirectory(prefix="copy-", dir=other) as folder:
            yield Path(folder)

    async def _pieces(self, key: str) -> AsyncIterator[memoryview]:
        size = await self.size(key)
        if size is None:
            raise FileNotFoundError(key)
        for start in range(0, size, limits.BUCKET_READ_BYTES):
            end = min(size, start + limits.BUCKET_READ_BYTES)
            with told(_OF):
                got = await obstore.get_range_async(self._store, key, start=start, end=end)
            yield memoryview(got)

    async def _renew(self, key: str) -> None:
        until_ms = self._runtime.now_ms() + limits.LOCK_MS
        await self.put_bytes(key, str(until_ms).encode())

    async def _keep(self, key: str, is_renewing: asyncio.Lock) -> None:
        while True:
            await self._runtime.sleep_ms(limits.LOCK_RENEW_MS)
            # Some renewals may fail before the claim ends; each is logged.
            with suppress(TriceError):
                async with is_renewing:
                    await self._renew(key)

    async def _is_held(self, key: str) -> bool:
        try:
            until = await self.read(key, 32)
        except FileNotFoundError:
            return False
        return until.isdigit() and int(until) > self._runtime.now_ms()
