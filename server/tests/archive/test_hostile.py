"""Archives that are damaged, or made to do harm: a clear error each, and nothing is left."""

from __future__ import annotations

import json
import os
import random
import struct
import tracemalloc
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.archive_stage import Stage, small_shop
from support.archives import Archive, attr, json_line, write_zip
from support.seeds import seeds
from trice import archive_limits
from trice.errors import InvalidInput

Entries = list[tuple[str, bytes]]
Spoil = Callable[[Entries], Entries]


async def expect_refused(stage: Stage, path: Path, match: str) -> None:
    before = stage.left()
    with pytest.raises(InvalidInput, match=match):
        await stage.load(path)
    assert stage.left() == before == []


def spoilt_line(change: Callable[[dict[str, Any]], object]) -> Spoil:
    """The second line of goods, changed."""

    def spoil(entries: Entries) -> Entries:
        made = dict(entries)
        lines = made["entities/goods.jsonl"].splitlines()
        document = json.loads(lines[1])
        found = change(document)
        lines[1] = found if isinstance(found, bytes) else json.dumps(document).encode()
        made["entities/goods.jsonl"] = b"\n".join(lines) + b"\n"
        return list(made.items())

    return spoil


def entity(**values: Any) -> Callable[[dict[str, Any]], object]:
    return lambda line: line["entity"].update(values)


LINE = r"entities/goods\.jsonl line 2: "

LINES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "cut off": (lambda line: b'{"entity": {"id": "5f', "the line is no JSON"),
    "empty": (lambda line: b" ", "the line is no JSON"),
    "no object": (lambda line: b"[]", "a line is"),
    "deep": (lambda line: b"[" * 100_000, "the line is no JSON"),
    "no entity": (lambda line: line.update(entity=5), "a line is"),
    "no time": (lambda line: line.update(createdAt="now"), "`createdAt` must be milliseconds"),
    "a great time": (lambda line: line.update(createdAt=10**18), "`createdAt` must be"),
    "true as a time": (lambda line: line.update(createdAt=True), "`createdAt` must be"),
    "id": (entity(id="../../etc/passwd"), '`id` is "../../etc/passwd", but must be a uuid'),
    "type": (entity(price="free"), r"Value must be a number but the provided"),
    "date": (entity(due="2026-13-45"), "Value must be a date"),
    "null byte": (entity(title="a\0b"), "value contains null bytes"),
    "long": (entity(title="x" * 2000), "too large for an indexed attribute"),
    "required": (entity(title=None), "`title` is required"),
    "link": (entity(tags=["x"]), '`tags` links to "x", but must link to the uuid'),
    "has-one link": (entity(owner={"a": 1}), r"`owner` links to"),
    "unknown": (entity(nothing=1), "`nothing` is in no schema"),
    "deep value": (entity(extra=json.loads("[" * 200 + "]" * 200)), "nested deeper than"),
}


@pytest.mark.rule("AR30", "AR31", "AR2")
@pytest.mark.parametrize("name", LINES)
async def test_a_broken_line_is_named(stage: Stage, tmp_path: Path, name: str) -> None:
    change, match = LINES[name]
    path = small_shop().write(tmp_path / "in.zip", spoilt_line(change))
    await expect_refused(stage, path, LINE + ".*" + match)


@pytest.mark.rule("AR30")
async def test_two_lines_with_one_id(stage: Stage, tmp_path: Path) -> None:
    shop = small_shop()
    twice = shop.lines["goods"][0]
    for _ in range(30):
        shop.add("goods", {"title": "more"})
    shop.lines["goods"].append(twice)
    path = shop.write(tmp_path / "in.zip")
    await expect_refused(stage, path, rf"line \d+: the id {twice[0]['id']} is in another line")


@pytest.mark.rule("AR34")
async def test_values_that_are_not_unique(stage: Stage, tmp_path: Path) -> None:
    shop = small_shop()
    shop.add("goods", {"title": "Other kettle", "sku": "k-1"})
    path = shop.write(tmp_path / "in.zip")
    await expect_refused(stage, path, r'goods\.jsonl: several entities have the `sku` "k-1"')

    shop = small_shop()
    shop.link("goods.box:many", "tags.boxed:one")
    tag = shop.lines["tags"][0][0]["id"]
    for line, _ in shop.lines["goods"]:
        line["box"] = [tag, tag]
    path = shop.write(tmp_path / "in.zip")
    await expect_refused(stage, path, f"several entities link by `box` to {tag}")


def config(**changes: Any) -> Spoil:
    def spoil(entries: Entries) -> Entries:
        made = dict(entries)
        document = {**json.loads(made["config.json"]), **changes}
        made["config.json"] = json.dumps(document).encode()
        return list(made.items())

    return spoil


def replaced(name: str, data: bytes) -> Spoil:
    return lambda entries: [*(each for each in entries if each[0] != name), (name, data)]


def without(prefix: str) -> Spoil:
    return lambda entries: [each for each in entries if not each[0].startswith(prefix)]


ENTRIES: dict[str, tuple[Spoil, str]] = {
    "no config": (without("config"), "it has no config.json, so it is no Instant backup"),
    "config no JSON": (replaced("config.json", b"{"), r"config\.json: it is no JSON"),
    "config a list": (replaced("config.json", b"[]"), "it has no `schema`"),
    "no schema": (config(schema=None), "it has no `schema`"),
    "schema of nothing": (config(schema={"entities": 5}), "its schema cannot be used"),
    "schema of $": (
        config(schema={"entities": {"$x": {"attrs": {}}}}),
        r"its schema cannot be used",
    ),
    "app id": (config(appId="../x"), "`appId` is no uuid"),
    "counts": (config(counts=[]), "`counts` must be an object"),
    "counts differ": (config(counts={"goods": 3}), r"it has 2 lines, but config\.json counts 3"),
    "webhooks": (config(webhooks={}), "`webhooks` must be a list"),
    "settings": (config(trice={"settings": {"origins": 5}}), "is not as trice writes it"),
    "out of the folder": (replaced("../evil", b"x"), "an archive has no such entry"),
    "absolute": (replaced("/etc/cron.d/evil", b"x"), "an archive has no such entry"),
    "in a folder of files": (replaced("files/../../evil", b"x"), "no such entry"),
    "dots": (replaced("files/..", b"x"), "no such entry"),
    "backslash": (replaced("files/..\\evil", b"x"), "no such entry"),
    "out by a namespace": (
        replaced("entities/../../x.jsonl", b""),
        r"no namespace `\.\./\.\./x` is in `schema`",
    ),
    "not in the schema": (replaced("entities/more.jsonl", b""), "no namespace `more` is in"),
    "bytes without a row": (replaced("files/lost", b"x"), "files/lost: no entity of"),
    "row without bytes": (without("files/"), "the bytes are missing"),
}


@pytest.mark.rule("AR10", "AR11", "AR20", "AR31", "AR35", "AR42")
@pytest.mark.parametrize("name", ENTRIES)
async def test_a_wrong_entry_is_named(stage: Stage, tmp_path: Path, name: str) -> None:
    spoil, match = ENTRIES[name]
    await expect_refused(stage, small_shop().write(tmp_path / "in.zip", spoil), match)
    assert not any("evil" in name for name in everything(tmp_path))


def everything(folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob("*")]


FILES: dict[str, tuple[dict[str, Any], str]] = {
    "size": ({"size": 7}, "`size` is 7, but files/"),
    "path": ({"path": "a\nb"}, "A path has no control characters"),
    "header": ({"content-type": "text/html\r\nset-cookie: a=b"}, "without control characters"),
    "same bytes": ({"location-id": None}, "`location-id` is required"),
}


@pytest.mark.rule("AR42")
@pytest.mark.parametrize("name", FILES)
async def test_a_file_that_no_upload_makes(stage: Stage, tmp_path: Path, name: str) -> None:
    values, match = FILES[name]
    shop = small_shop()
    shop.lines["$files"][0][0].update(values)
    await expect_refused(stage, shop.write(tmp_path / "in.zip"), match)


@pytest.mark.rule("AR42")
async def test_two_rows_with_the_same_bytes(stage: Stage, tmp_path: Path) -> None:
    shop = small_shop()
    first = shop.lines["$files"][0][0]
    shop.add("$files", {**first, "id": str(uuid.uuid4()), "path": "copy.png"})
    path = shop.write(tmp_path / "in.zip")
    await expect_refused(stage, path, "another entity has these bytes too")


@pytest.mark.rule("AR12", "AR2")
async def test_an_archive_cut_off_anywhere(stage: Stage, tmp_path: Path) -> None:
    whole = small_shop().write(tmp_path / "whole.zip").read_bytes()
    cut = tmp_path / "cut.zip"
    for end in (0, 1, 21, 22, len(whole) // 2, len(whole) - 60, len(whole) - 23, len(whole) - 1):
        cut.write_bytes(whole[:end])
        await expect_refused(stage, cut, "no zip file, or not whole|cut off or damaged")


@pytest.mark.rule("AR12", "AR2")
@pytest.mark.parametrize("place", [2**32 - 2, 2**63 - 1, 2**63, 2**64 - 1])
async def test_an_entry_that_is_nowhere(stage: Stage, tmp_path: Path, place: int) -> None:
    path = tmp_path / "in.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", '{"schema": {"entities": {}}}')
        archive.getinfo("config.json").header_offset = place
    await expect_refused(stage, path, "config.json: the archive is|in.zip: the archive is")


@pytest.mark.rule("AR12", "AR2")
async def test_an_archive_with_wrong_bytes(stage: Stage, tmp_path: Path) -> None:
    """Any byte may be wrong: a refusal in words, or an app that is whole; never another error."""
    whole = small_shop().write(tmp_path / "whole.zip").read_bytes()
    refusals = 0
    for seed in seeds(range(60)):
        draw = random.Random(seed)
        spoilt = bytearray(whole)
        for _ in range(draw.choice((1, 1, 4))):
            spoilt[draw.randrange(len(spoilt))] ^= 1 << draw.randrange(8)
        path = tmp_path / "spoilt.zip"
        path.write_bytes(spoilt)
        try:
            report = await stage.load(path)
        except InvalidInput:
            refusals += 1
            assert stage.left() == [], seed
        else:
            await stage.registry.delete(report.app_id)  # type: ignore[arg-type]
            stage.engines.delete(report.app_id)  # type: ignore[arg-type]
            await stage.storage.blobs.delete_app(report.app_id)  # type: ignore[arg-type]
    assert refusals > 20 or os.environ.get("TRICE_FUZZ_SECONDS")


@pytest.mark.rule("AR13")
async def test_content_that_is_too_large(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = small_shop().write(tmp_path / "in.zip", replaced("files/zeros", bytes(20_000_000)))
    with monkeypatch.context() as patch:
        patch.setattr(archive_limits, "RATIO_FREE_BYTES", 1_000_000)
        await expect_refused(stage, bomb, "more than 200 times the archive itself")
    with pytest.raises(InvalidInput, match="the disk has 1,000 left"):
        await stage.load(small_shop(), room_bytes=1_000)
    assert stage.left() == []


@pytest.mark.rule("AR13")
async def test_entries_that_overlap_count_each(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many entries of the list lead to the same bytes, as in a flat zip bomb."""
    path = tmp_path / "in.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", '{"schema": {"entities": {}}}')
        archive.writestr("files/a", bytes(1_000_000))
        for number in range(300):
            twin = zipfile.ZipInfo(f"files/{number}")
            for name in ("header_offset", "CRC", "file_size", "compress_size", "compress_type"):
                setattr(twin, name, getattr(archive.getinfo("files/a"), name))
            archive.filelist.append(twin)
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(archive_limits, "RATIO_FREE_BYTES", 1_000_000)
    await expect_refused(stage, path, "301,000,028 bytes, more than 200 times")


@pytest.mark.rule("AR13")
@pytest.mark.parametrize("is_large", [False, True])
async def test_a_list_of_entries_that_is_too_long(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_large: bool
) -> None:
    monkeypatch.setattr(archive_limits, "DIRECTORY_BYTES_MAX", 4_000)
    entries = [("config.json", b"{}"), *((f"files/{n}", b"") for n in range(200))]
    path = tmp_path / "in.zip"
    if is_large:
        monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 10)  # in the form for large files
    zipped(path, entries)
    if is_large:
        assert b"PK\x06\x07" in path.read_bytes()
    await expect_refused(stage, path, r"its list of entries has [\d,]+ bytes, and 4,000 are")


def zipped(path: Path, entries: Entries) -> None:
    with open(path, "wb") as file:
        write_zip(file, entries)


@pytest.mark.rule("AR10")
async def test_other_forms_of_zip(stage: Stage, tmp_path: Path) -> None:
    entries = small_shop().entries()
    stored = tmp_path / "stored.zip"
    with zipfile.ZipFile(stored, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("entities/", b"")
        for name, data in reversed(entries):
            archive.writestr(name, data)
    report = await stage.load(stored)
    assert report.entities["goods"] == 2

    with zipfile.ZipFile(stored, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("config.json", b"{}")
    with pytest.raises(InvalidInput, match=r"compressed by method 14; accepted is deflate"):
        await stage.load(stored)

    twice = tmp_path / "twice.zip"
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(twice, "w") as archive:
        archive.writestr("config.json", b"{}")
        archive.writestr("config.json", b"{}")
    with pytest.raises(InvalidInput, match="the archive has this entry twice"):
        await stage.load(twice)

    data = bytearray(stored.read_bytes())
    at = data.rfind(b"PK\x01\x02")
    struct.pack_into("<H", data, at + 8, 1)
    stored.write_bytes(data)
    with pytest.raises(InvalidInput, match="it is encrypted"):
        await stage.load(stored)


@pytest.mark.rule("AR14")
async def test_long_lines_and_line_ends(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = small_shop()
    shop.app_id = None
    text = "\u2028".join(["a", "b", "\r", "\x0b"])
    shop.add("goods", {"title": text})
    assert (await stage.load(shop)).entities["goods"] == 3

    monkeypatch.setattr(archive_limits, "LINE_BYTES_MAX", 5_000)
    monkeypatch.setattr(archive_limits, "PIECE_BYTES", 1_000)
    long = small_shop()
    last = str(uuid.UUID(int=2**128 - 1))
    long.add("goods", {"id": last, "title": "c", "extra": "x" * 9_000})
    for spoil in (lambda entries: entries, without_last_feed):
        path = long.write(tmp_path / "in.zip", spoil)
        with pytest.raises(
            InvalidInput, match=r"goods\.jsonl line 3: the line has more than 5,000"
        ):
            await stage.load(path)


def without_last_feed(entries: Entries) -> Entries:
    return [(name, data.rstrip(b"\n")) for name, data in entries]


@pytest.mark.rule("AR5")
async def test_memory_does_not_grow_with_the_archive(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_limits, "BATCH_ROWS", 100)
    monkeypatch.setattr(archive_limits, "PAGE_ROWS", 100)
    peaks = []
    for times in (1, 8):
        made = Archive(app_id=None)
        made.namespace("notes", text=attr("string", indexed=True), body=attr("string"))
        path = tmp_path / "in.zip"
        lines = "".join(
            json_line({"id": str(uuid.UUID(int=n + 1)), "text": f"t{n}", "body": "x" * 2_000}, n)
            for n in range(1_000 * times)
        ).encode()
        made.file("large", bytes(2_000_000 * times))
        made.more = {"counts": None}
        made.write(path, lambda entries, lines=lines: [*entries, ("entities/notes.jsonl", lines)])
        del lines, made
        tracemalloc.start()
        report = await stage.load(path)
        loaded = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        await stage.export(report.app_id, tmp_path / "out.zip")
        peaks.append((loaded, tracemalloc.get_traced_memory()[1]))
        tracemalloc.stop()
    (load_small, export_small), (load_large, export_large) = peaks
    assert load_large < load_small + 2_000_000, peaks
    assert export_large < export_small + 2_000_000, peaks
