"""Blobs in a bucket that speaks S3: the object `PREFIX/APP/HASH`.

`obstore` sends the requests, signs them and tries again; it does so on threads of its own.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

import obstore
from obstore.exceptions import (
    BaseError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import S3Store

from trice import file_limits as limits
from trice.errors import InvalidInput, Unavailable
from trice.files.blobs import Blob, check_key, is_hash, no_blob
from trice.files.files_url import S3Place
from trice.files.signed_urls import Credentials, sign_url
from trice.files.spool import Spooled
from trice.files.threads import FileThreads
from trice.log import fields
from trice.protocol.ids import AppId, find_uuid_bytes
from trice.runtime import Runtime

logger: Final = logging.getLogger("trice.files")


class S3Blobs:
    """`Blobs` in a bucket. Holds no connection for a reader between two pieces."""

    def __init__(
        self,
        place: S3Place,
        variables: Mapping[str, str],
        *,
        threads: FileThreads,
        runtime: Runtime,
    ) -> None:
        """Nothing is sent yet. Raises InvalidInput when variables do not fit each other.

        threads     remove the spooled files of what is kept
        variables   of the environment; credentials are in `AWS_…` ones, else the machine has a role
        """
        self._place = place
        self._threads = threads
        self._runtime = runtime
        self._credentials = Credentials.find(variables)
        self._store = open_bucket(place)

    async def put(self, app_id: AppId, spooled: Spooled) -> None:
        # What exists is overwritten by the same bytes: S3 has no cheaper way to renew the time.
        part = max(limits.S3_PART_BYTES, -(-spooled.size // limits.S3_PARTS_MAX))
        try:
            with told():
                await obstore.put_async(
                    self._store,
                    _key(app_id, spooled.hash),
                    spooled.path,
                    chunk_size=part,
                    max_concurrency=limits.S3_PARTS_AT_ONCE,
                )
        finally:
            await self._threads.run(spooled.discard)

    async def size(self, app_id: AppId, hash: str) -> int | None:
        try:
            with told():
                return (await obstore.head_async(self._store, _key(app_id, hash)))["size"]
        except FileNotFoundError:
            return None

    async def read(
        self, app_id: AppId, hash: str, start: int, end: int
    ) -> AsyncGenerator[bytes, None]:
        key = _key(app_id, hash)
        size = await self.size(app_id, hash)
        if size is None:
            raise no_blob(hash)
        end = min(end, size)
        while start < end:
            stop = min(end, start + limits.S3_READ_BYTES)
            try:
                with told():
                    got = await obstore.get_range_async(self._store, key, start=start, end=stop)
            except FileNotFoundError:
                raise no_blob(hash) from None
            data = memoryview(got)
            for offset in range(0, len(data), limits.PIECE_BYTES):
                yield bytes(data[offset : offset + limits.PIECE_BYTES])
            start = stop

    def path(self, app_id: AppId, hash: str) -> Path | None:
        return None

    async def signed_url(
        self, app_id: AppId, hash: str, *, expires_s: int, content_type: str, disposition: str
    ) -> str | None:
        if self._credentials is None:
            return None
        return sign_url(
            self._place,
            self._place.prefix + _key(app_id, hash),
            self._credentials,
            now_ms=self._runtime.now_ms(),
            expires_s=expires_s,
            content_type=content_type,
            disposition=disposition,
        )

    async def delete(self, app_id: AppId, hash: str) -> None:
        await self._delete([_key(app_id, hash)])

    async def delete_app(self, app_id: AppId) -> None:
        page: list[str] = []
        async for blob in self.list(app_id):
            page.append(_key(app_id, blob.hash))
            if len(page) == limits.LIST_PAGE_BLOBS:
                await self._delete(page)
                page = []
        if page:
            await self._delete(page)

    async def list(self, app_id: AppId) -> AsyncIterator[Blob]:
        assert find_uuid_bytes(app_id) is not None, "an app id is a uuid"
        pages = obstore.list(self._store, app_id, chunk_size=limits.LIST_PAGE_BLOBS)
        while True:
            with told():
                page = await anext(aiter(pages), None)
            if page is None:
                break
            for found in page:
                hash = found["path"].rpartition("/")[2]
                if is_hash(hash):
                    yield Blob(
                        hash, found["size"], round(found["last_modified"].timestamp() * 1000)
                    )

    async def apps(self) -> AsyncIterator[AppId]:
        with told():
            found = await obstore.list_with_delimiter_async(self._store)
        for prefix in found["common_prefixes"]:
            name = prefix.strip("/").rpartition("/")[2]
            if find_uuid_bytes(name) is not None:
                yield AppId(name)

    async def close(self) -> None:
        """Nothing is open between calls."""

    async def _delete(self, keys: Sequence[str]) -> None:
        try:
            with told():
                await obstore.delete_async(self._store, keys)
        except FileNotFoundError:
            return


def open_bucket(place: S3Place, *, flag: str = "files-url") -> S3Store:
    """The bucket; nothing is sent yet. Raises InvalidInput when variables do not fit each other."""
    try:
        return S3Store(
            place.bucket,
            prefix=place.prefix or None,
            endpoint=place.endpoint,
            region=place.region,
            virtual_hosted_style_request=False,
            client_options={
                "allow_http": True,
                "connect_timeout": timedelta(milliseconds=limits.S3_CONNECT_MS),
                "timeout": timedelta(milliseconds=limits.S3_REQUEST_MS),
            },
            retry_config={
                "max_retries": limits.S3_RETRIES_MAX,
                "retry_timeout": timedelta(milliseconds=limits.S3_RETRY_MS),
            },
        )
    except BaseError as failure:
        reason = str(failure).split("\n", 1)[0]
        message = f"--{flag}: The variables of the bucket are not usable: {reason}."
        raise InvalidInput("param-malformed", message) from None


def _key(app_id: AppId, hash: str) -> str:
    check_key(app_id, hash)
    return f"{app_id}/{hash}"


@contextmanager
def told(of: str = "the files") -> Iterator[None]:
    """Turn failures of the library into ours, but for a missing object: FileNotFoundError."""
    try:
        yield
    except FileNotFoundError as failure:
        if "NoSuchBucket" not in str(failure):
            raise
        raise _unavailable(of, "does not exist", failure) from failure
    except (PermissionDeniedError, UnauthenticatedError) as failure:
        raise _unavailable(of, "refuses this server's credentials", failure) from failure
    except (BaseError, OSError) as failure:
        raise _unavailable(of, "cannot be reached", failure) from failure


def _unavailable(of: str, what: str, failure: Exception) -> Unavailable:
    reason = str(failure)[: limits.S3_REASON_CHARS_MAX]
    logger.warning("the bucket failed %s", fields(of=of, what=what, reason=reason))
    return Unavailable("overloaded", f"The bucket that keeps {of} {what}. Try again.")
