"""Bytes over HTTP, by blocking sockets on threads: what waits for latencies is not disturbed."""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import sys
import urllib.parse
from collections.abc import Iterable, Iterator
from pathlib import Path

BLOCK_BYTES = 1 << 20
TIMEOUT_S = 100


def download(urls: Iterable[str], *, span: tuple[int, int] | None = None) -> int:
    """Read all of each, one after another, on one connection for each host; return how many bytes
    that were.

    span    first and last byte to ask for, instead of all
    raises  RuntimeError for an answer that is none
    """
    total = 0
    block = bytearray(BLOCK_BYTES)
    headers = {} if span is None else {"range": f"bytes={span[0]}-{span[1]}"}
    connection: http.client.HTTPConnection | None = None
    for url in urls:
        parts = urllib.parse.urlsplit(url)
        if connection is None:
            connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_S)
        connection.request("GET", target(parts), headers=headers)
        response = connection.getresponse()
        if response.status != (200 if span is None else 206):
            raise RuntimeError(f"{response.status}: {response.read()[:500]!r}")
        while size := response.readinto(block):
            total += size
    if connection is not None:
        connection.close()
    return total


def upload(url: str, headers: dict[str, str], size: int, *, mark: int) -> None:
    """PUT so many bytes, others for each `mark`.

    raises  RuntimeError for an answer that is none
    """
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_S)
    headers = {**headers, "content-length": str(size)}
    connection.request("PUT", target(parts), body=blocks(size, mark), headers=headers)
    response = connection.getresponse()
    said = response.read()
    connection.close()
    if not 200 <= response.status < 300:
        raise RuntimeError(f"{response.status}: {said[:500]!r}")


def target(parts: urllib.parse.SplitResult) -> str:
    """What stands in a request."""
    return parts.path + (f"?{parts.query}" if parts.query else "")


def blocks(size: int, mark: int) -> Iterator[bytes]:
    """`size` bytes that no file system makes smaller; each block is told from all others."""
    noise = os.urandom(BLOCK_BYTES)
    for start in range(0, size, BLOCK_BYTES):
        head = b"%16d%16d" % (mark, start)
        yield (head + noise)[: min(BLOCK_BYTES, size - start)]


def forget_cached(folder: str) -> None:
    """Let the system forget what it holds in memory of the files in a folder: what is read next
    comes from the disk (posix_fadvise)."""
    for file in _opened(folder):
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_plain(folder: str) -> int:
    """Read all files in a folder, as fast as it goes; return their bytes."""
    total = 0
    block = bytearray(BLOCK_BYTES)
    for file in _opened(folder):
        while size := file.readinto(block):
            total += size
    return total


def _opened(folder: str) -> Iterator[io.FileIO]:
    """Each file in a folder; one that is deleted meanwhile is left out."""
    for path in Path(folder).rglob("*"):
        if path.is_file():
            with contextlib.suppress(FileNotFoundError), open(path, "rb", buffering=0) as file:
                yield file


if __name__ == "__main__":  # URL PATH SIZE MARK
    upload(sys.argv[1], {"path": sys.argv[2]}, int(sys.argv[3]), mark=int(sys.argv[4]))
