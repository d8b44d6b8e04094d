"""Files: uploads that go on after a failure, downloads to a path."""

from __future__ import annotations

import os
import random
from base64 import b64encode
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import urljoin

from trice_client._asked import Asked, told_number, told_text
from trice_client._async.requests import AsyncRequests, reading
from trice_client._bytes import Pieces, Source, WholeFile
from trice_client._clock import in_thread_async as in_thread
from trice_client._clock import sleep_async as sleep
from trice_client._config import Caller
from trice_client._errors import TriceError
from trice_client._retry import may_repeat, wait_s

_TUS = "/admin/storage/tus"
_PART = "application/offset+octet-stream"
_PIECE_BYTES_MIN = 256 * 1024
_PIECE_BYTES_MAX = 4 * 1024 * 1024
_PIECES_WANTED = 20
_FAILURES_MAX = 10
_OFFSET_CODES = frozenset(("upload-offset-wrong", "upload-busy"))

Progress = Callable[[int, int], None]
"""Told how many bytes are there, of how many."""


class AsyncStorage:
    """`db.storage`. Rows of files are in `$files`, and are queried and linked as others are."""

    def __init__(self, requests: AsyncRequests, caller: Caller) -> None:
        self._requests = requests
        self._caller = caller

    async def upload(
        self,
        path: str,
        source: Source,
        *,
        content_type: str | None = None,
        content_disposition: str | None = None,
        on_progress: Progress | None = None,
    ) -> str:
        """Stores a file under a path, in the place of one that is there. Returns the id of its row.

        It goes up in pieces; after a failure it goes on from where the server has it.

        source   bytes, a Path, or a binary file that can seek
        """
        pieces = await in_thread(partial(Pieces, source))
        try:
            metadata = {
                "path": path,
                "contentType": content_type,
                "contentDisposition": content_disposition,
            }
            return await self._send(pieces, _encoded(metadata), on_progress)
        finally:
            await in_thread(pieces.close)

    async def download(
        self, path: str, to: os.PathLike[str] | str, *, on_progress: Progress | None = None
    ) -> int:
        """Writes a file to `to`, whole or not at all. Returns its size in bytes.

        to       a file; in a folder that exists it gets the last part of its path as its name,
                 without what some systems refuse

        raises   TriceError("record-not-found") where there is no such file
        """
        url = await self.url(path)
        if url is None:
            told = f"There is no file {path!r}, or it may not be read."
            raise TriceError("record-not-found", told, hint={"path": ["path"]})
        file = await in_thread(partial(WholeFile, to, path))
        try:
            await self._fetch(url, file, on_progress)
            await in_thread(file.keep)
        finally:
            await in_thread(file.drop)
        return file.written

    async def url(self, path: str) -> str | None:
        """An address from which the file is loaded, for a while. None where there is none."""
        found: str | None = await self._data("GET", "signed-download-url", {"filename": path})
        return found

    async def delete(self, path: str) -> str | None:
        """Deletes a file. Returns the id that its row had; None where there was none."""
        data = await self._data("DELETE", "files", {"filename": path})
        found: str | None = data["id"]
        return found

    async def delete_many(self, paths: Sequence[str]) -> list[str | None]:
        """Deletes files: all of them, or none where a rule refuses one."""
        data = await self._data("POST", "files/delete", {}, {"filenames": list(paths)})
        found: list[str | None] = data["ids"]
        return found

    async def _data(self, method: str, path: str, params: dict[str, str], json: Any = None) -> Any:
        asked = Asked(
            *(method, f"/admin/storage/{path}", params, self._caller.headers()),
            json=json,
            has=("data", object),
        )
        return (await self._requests.json(asked))["data"]

    # --- uploads --------------------------------------------------------------------------------

    async def _send(self, pieces: Pieces, metadata: str, on_progress: Progress | None) -> str:
        size, failures = pieces.size, 0
        piece_bytes = min(_PIECE_BYTES_MAX, max(_PIECE_BYTES_MIN, size // _PIECES_WANTED))
        place, told = await self._begin(size, metadata)
        while "trice-file-id" not in told:
            offset = told_number(told, "upload-offset")
            piece = await in_thread(partial(pieces.read, offset, piece_bytes))
            headers = {"content-type": _PART, "upload-offset": str(offset)}
            try:
                told = await self._tus("PATCH", place, headers, piece)
                if "trice-file-id" not in told and told_number(told, "upload-offset") <= offset:
                    raise TriceError("upload-offset-wrong", "The upload does not get ahead.")
                failures = 0
            except TriceError as error:
                failures += 1
                is_lost = error.status == 404
                may_go_on = is_lost or error.code in _OFFSET_CODES or may_repeat(error, "always")
                if failures > _FAILURES_MAX or not may_go_on:
                    raise
                await sleep(wait_s(failures, random.random(), error))
                place, told = await self._look(place, size, metadata)
            if on_progress is not None:
                on_progress(min(size, offset + len(piece)), size)
        return told["trice-file-id"]

    async def _begin(self, size: int, metadata: str) -> tuple[str, dict[str, str]]:
        headers = {"upload-length": str(size), "upload-metadata": metadata}
        told = await self._tus("POST", _TUS, headers)
        # Where the server is mounted below a prefix, both have it.
        return urljoin(f"{self._requests.origin}/", told_text(told, "location")), told

    async def _look(self, place: str, size: int, metadata: str) -> tuple[str, dict[str, str]]:
        """How far it is. What the server has forgotten begins anew."""
        try:
            return place, await self._tus("HEAD", place, {})
        except TriceError as error:
            if error.status != 404:
                raise
        return await self._begin(size, metadata)

    async def _tus(
        self, method: str, path: str, headers: dict[str, str], content: bytes | None = None
    ) -> dict[str, str]:
        all_headers = {**self._caller.headers(), "tus-resumable": "1.0.0", **headers}
        # A piece is sent again only after the server said where it is.
        repeats: Any = "unsent" if method == "PATCH" else "always"
        return await self._requests.send(
            Asked(method, path, headers=all_headers, content=content, repeats=repeats)
        )

    # --- downloads ------------------------------------------------------------------------------

    async def _fetch(self, url: str, file: WholeFile, on_progress: Progress | None) -> None:
        """Writes an answer; one that breaks off is asked for again, from there on."""
        failures = 0
        while True:
            before = file.written
            try:
                await self._fetch_on(url, file, on_progress)
                return
            except TriceError as error:
                failures = 1 if file.written > before else failures + 1
                if failures > _FAILURES_MAX or not may_repeat(error, "always"):
                    raise
                await sleep(wait_s(failures, random.random(), error))

    async def _fetch_on(self, url: str, file: WholeFile, on_progress: Progress | None) -> None:
        have = file.written
        headers = {"accept-encoding": "identity"}
        if have:
            headers["range"] = f"bytes={have}-"
        async with self._requests.open(Asked("GET", url, headers=headers)) as answer:
            if answer.status_code != 206:
                await in_thread(file.restart)
            length = answer.headers.get("content-length", "0")
            size = file.written + told_number({"content-length": length}, "content-length")
            async for piece in reading(answer.aiter_bytes(), self._requests.origin):
                await in_thread(partial(file.write, piece))
                if on_progress is not None:
                    on_progress(file.written, size)


def _encoded(metadata: dict[str, str | None]) -> str:
    return ",".join(
        f"{name} {b64encode(value.encode()).decode()}"
        for name, value in metadata.items()
        if value is not None
    )
