"""The contract of `Blobs`: the same suite for every place that keeps bytes."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import aclosing
from pathlib import Path

import pytest

from support.blob_places import OTHER_APP, Place, kept, read_all
from support.patience import WAIT_S
from trice import file_limits as limits
from trice.errors import NotFound
from trice.protocol.ids import AppId

APP = AppId("11111111-1111-4111-8111-111111111111")


@pytest.mark.rule("F1")
async def test_bytes_that_were_put_are_read_under_their_hash(place: Place) -> None:
    data = b"some bytes \x00\xff" * 5
    hash = await place.put(APP, data)
    assert hash == hashlib.sha256(data).hexdigest()
    assert await place.blobs.size(APP, hash) == len(data)
    assert await read_all(place.blobs, APP, hash) == data


@pytest.mark.rule("F1")
async def test_no_bytes_are_bytes_too(place: Place) -> None:
    hash = await place.put(APP, b"")
    assert await place.blobs.size(APP, hash) == 0
    assert await read_all(place.blobs, APP, hash) == b""


@pytest.mark.rule("F1", "F138")
async def test_a_file_that_is_linked_into_the_spool_is_kept_twice_until_one_goes(
    place: Place, tmp_path: Path
) -> None:
    data = b"whole already"
    whole = tmp_path / "whole"
    whole.write_bytes(data)
    for _ in range(2):  # as after a stop between the put and the row
        hash = hashlib.sha256(data).hexdigest()
        await place.blobs.put(APP, await place.spool.link(whole, hash=hash, size=len(data)))
        assert await read_all(place.blobs, APP, hash) == whole.read_bytes() == data
        assert place.spooled_files() == []
    whole.unlink()
    assert await read_all(place.blobs, APP, hash) == data


@pytest.mark.rule("F2")
async def test_equal_bytes_of_an_app_are_kept_once(place: Place) -> None:
    hash = await place.put(APP, b"the same")
    first = (await kept(place.blobs, APP))[0]
    async with asyncio.timeout(WAIT_S):
        blob = first
        while blob.modified_ms == first.modified_ms:  # buckets tell seconds
            place.let_time_pass()
            assert await place.put(APP, b"the same") == hash
            [blob] = await kept(place.blobs, APP)
    assert (blob.hash, blob.size) == (hash, 8)
    assert blob.modified_ms > first.modified_ms
    assert place.spooled_files() == []


@pytest.mark.rule("F2")
async def test_the_same_bytes_put_at_once_are_kept_once(place: Place) -> None:
    data = b"x" * 100_000
    hashes = await asyncio.gather(*(place.put(APP, data) for _ in range(8)))
    assert len(set(hashes)) == 1
    assert [blob.hash for blob in await kept(place.blobs, APP)] == [hashes[0]]
    assert await read_all(place.blobs, APP, hashes[0]) == data


@pytest.mark.rule("F3")
async def test_each_app_has_bytes_of_its_own(place: Place) -> None:
    hash = await place.put(APP, b"mine")
    assert await place.blobs.size(OTHER_APP, hash) is None
    await place.put(OTHER_APP, b"mine")
    await place.blobs.delete(APP, hash)
    assert await read_all(place.blobs, OTHER_APP, hash) == b"mine"


@pytest.mark.rule("F4")
@pytest.mark.parametrize(
    ("start", "end"), [(0, 1), (3, 9), (999_999, 1_000_000), (500_000, 1_000_000), (7, 7)]
)
async def test_a_part_is_read_in_pieces(place: Place, start: int, end: int) -> None:
    data = bytes(range(250)) * 4_000
    hash = await place.put(APP, data)
    pieces = [piece async for piece in place.blobs.read(APP, hash, start, end)]
    assert b"".join(pieces) == data[start:end]
    assert all(0 < len(piece) <= limits.PIECE_BYTES for piece in pieces)


@pytest.mark.rule("F4")
async def test_a_read_ends_at_the_last_byte(place: Place) -> None:
    hash = await place.put(APP, b"0123456789")
    async with aclosing(place.blobs.read(APP, hash, 8, 100)) as pieces:
        assert b"".join([piece async for piece in pieces]) == b"89"


@pytest.mark.rule("F4")
async def test_a_reader_may_leave_early(place: Place) -> None:
    hash = await place.put(APP, b"a" * (3 * limits.PIECE_BYTES))
    async with aclosing(place.blobs.read(APP, hash, 0, 3 * limits.PIECE_BYTES)) as pieces:
        assert await anext(pieces)
    assert await place.blobs.size(APP, hash) == 3 * limits.PIECE_BYTES


@pytest.mark.rule("F5")
async def test_bytes_that_are_not_there_are_not_found(place: Place) -> None:
    hash = hashlib.sha256(b"never put").hexdigest()
    assert await place.blobs.size(APP, hash) is None
    with pytest.raises(NotFound, match="bytes of this file"):
        await read_all(place.blobs, APP, hash, size=5)
    await place.blobs.delete(APP, hash)


@pytest.mark.rule("F5")
async def test_deleted_bytes_are_gone_and_may_come_back(place: Place) -> None:
    hash = await place.put(APP, b"back and forth")
    await place.blobs.delete(APP, hash)
    assert await place.blobs.size(APP, hash) is None
    assert await kept(place.blobs, APP) == []
    await place.put(APP, b"back and forth")
    assert await read_all(place.blobs, APP, hash) == b"back and forth"


@pytest.mark.rule("F6")
async def test_an_app_is_deleted_with_all_its_bytes(place: Place) -> None:
    for number in range(5):
        await place.put(APP, b"%d" % number)
    hash = await place.put(OTHER_APP, b"stays")
    assert sorted([app async for app in place.blobs.apps()]) == sorted([APP, OTHER_APP])
    await place.blobs.delete_app(APP)
    await place.blobs.delete_app(APP)
    assert await kept(place.blobs, APP) == []
    assert [blob.hash for blob in await kept(place.blobs, OTHER_APP)] == [hash]
    assert [app async for app in place.blobs.apps()] == [OTHER_APP]


@pytest.mark.rule("F6")
async def test_a_list_has_every_blob_with_its_size(place: Place) -> None:
    sizes = {await place.put(APP, b"%d" % n * n): len(b"%d" % n * n) for n in range(40)}
    assert {blob.hash: blob.size for blob in await kept(place.blobs, APP)} == sizes


@pytest.mark.rule("F1")
async def test_a_large_file_is_kept_whole(place: Place) -> None:
    data = hashlib.sha256(b"seed").digest() * 400_000  # 12.8 MB: several parts of an upload
    hash = await place.put(APP, data)
    assert await place.blobs.size(APP, hash) == len(data)
    assert hashlib.sha256(await read_all(place.blobs, APP, hash)).hexdigest() == hash
    assert place.spooled_files() == []


@pytest.mark.rule("F3")
@pytest.mark.parametrize("hash", ["", "../" * 21 + "x", "A" * 64, "a" * 63 + "\n"])
async def test_only_a_hash_is_part_of_a_path(place: Place, hash: str) -> None:
    with pytest.raises(AssertionError, match="64 hex digits"):
        await place.blobs.delete(APP, hash)
    with pytest.raises(AssertionError, match="uuid"):
        await place.blobs.delete_app(AppId("../other"))
