"""Image variants by the real process, hostile images among them."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import struct
import zlib
from typing import Any

import pytest
from PIL import Image

from support.runtime import settle
from trice import download_limits
from trice.background import Background
from trice.errors import InvalidInput, LimitExceeded, Unavailable


def encoded(image: Image.Image, image_format: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, image_format, **options)
    return out.getvalue()


def decoded(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    """A PNG that says it has this size, whatever follows."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IEND", b"")


HALVES = Image.new("RGB", (400, 200), "red")
HALVES.paste("blue", (200, 0, 400, 200))
"""Red on the left, blue on the right."""


def near(pixel: Any, colour: tuple[int, ...]) -> bool:
    return all(abs(a - b) < 24 for a, b in zip(pixel, colour, strict=False))


@pytest.mark.rule("F122")
@pytest.mark.parametrize("source_format", ["PNG", "JPEG", "WEBP", "GIF", "AVIF"])
@pytest.mark.parametrize("image_format", ["webp", "jpeg", "png", "avif"])
async def test_every_type_becomes_every_other(variant_stage, source_format, image_format):
    source = variant_stage.source(encoded(HALVES, source_format))
    made = decoded(await variant_stage.make(source, w="128", format=image_format))
    assert (made.format or "").lower() == image_format
    assert made.size == (128, 64)
    seen = made.convert("RGB")
    assert near(seen.getpixel((20, 30)), (255, 0, 0))
    assert near(seen.getpixel((110, 30)), (0, 0, 255))


@pytest.mark.rule("F122")
async def test_cover_cuts_the_middle(variant_stage):
    source = variant_stage.source(encoded(HALVES))
    made = decoded(await variant_stage.make(source, w="64", h="64", fit="cover", format="png"))
    assert made.size == (64, 64)
    assert near(made.getpixel((10, 30)), (255, 0, 0)) and near(made.getpixel((54, 30)), (0, 0, 255))


@pytest.mark.rule("F122")
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "I;16", "CMYK", "RGBA"])
async def test_every_kind_of_pixels(variant_stage, mode):
    image_format = "JPEG" if mode == "CMYK" else "PNG"
    source = variant_stage.source(encoded(Image.new(mode, (40, 40)), image_format))
    for wanted in ("webp", "jpeg", "png", "avif"):
        assert decoded(await variant_stage.make(source, w="16", format=wanted)).size == (16, 16)


@pytest.mark.rule("F122")
async def test_what_is_clear_stays_clear_or_becomes_white(variant_stage):
    source = variant_stage.source(encoded(Image.new("RGBA", (40, 40), (255, 0, 0, 0))))
    clear = decoded(await variant_stage.make(source, w="16", format="webp"))
    white = decoded(await variant_stage.make(source, w="16", format="jpeg"))
    assert clear.convert("RGBA").getpixel((8, 8))[3] == 0
    assert near(white.getpixel((8, 8)), (255, 255, 255))


@pytest.mark.rule("F123")
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
async def test_images_stand_upright_and_tell_no_place(variant_stage, orientation, image_format):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "SECRETCAMERA"
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    # The image as a camera stores it that was held in this way.
    turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = HALVES
    if orientation in turns:
        stored = HALVES.transpose(Image.Transpose(turns[orientation]))
    data = encoded(stored, image_format, exif=exif)
    assert b"SECRETCAMERA" in data
    for wanted in ("jpeg", "png", "webp", "avif"):
        made = await variant_stage.make(variant_stage.source(data), w="128", format=wanted)
        image = decoded(made)
        assert image.size == (128, 64)
        seen = image.convert("RGB")
        assert near(seen.getpixel((20, 30)), (255, 0, 0))
        assert near(seen.getpixel((110, 30)), (0, 0, 255))
        assert not image.getexif() and b"SECRETCAMERA" not in made and b"Exif" not in made


@pytest.mark.rule("F123")
async def test_other_words_beside_the_pixels_are_left_behind(variant_stage):
    from PIL.PngImagePlugin import PngInfo

    told = PngInfo()
    told.add_text("Comment", "SECRETPLACE")
    told.add_itxt("XML:com.adobe.xmp", "<x>SECRETPLACE</x>")
    for data in (
        encoded(HALVES, "PNG", pnginfo=told),
        encoded(HALVES, "JPEG", comment="SECRETPLACE", xmp=b"<x>SECRETPLACE</x>"),
        encoded(HALVES, "WEBP", xmp=b"<x>SECRETPLACE</x>"),
        encoded(HALVES, "GIF", comment="SECRETPLACE"),
    ):
        for wanted in ("jpeg", "png", "webp", "avif"):
            made = await variant_stage.make(variant_stage.source(data), w="64", format=wanted)
            assert b"SECRETPLACE" not in made


@pytest.mark.rule("F124")
@pytest.mark.parametrize(
    ("data", "told"),
    [
        (
            png(30_000, 30_000, chunk(b"IDAT", zlib.compress(bytes(10_000)))),
            "30,000 × 30,000 pixels",
        ),
        (png(10_000, 5_001), "10,000 × 5,001 pixels"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no image of these types"),
        (b"<html><script>alert(1)</script>", "no image of these types"),
        (b"", "no image of these types"),
        (encoded(HALVES, "TIFF"), "no image of these types"),
        (encoded(HALVES, "BMP"), "no image of these types"),
        (encoded(HALVES, "JPEG")[:600], "damaged"),
        (encoded(HALVES, "PNG")[:200], "damaged"),
        (png(400, 200), "damaged"),
    ],
    ids=["bomb", "large", "svg", "html", "empty", "tiff", "bmp", "cut-jpeg", "cut-png", "no-data"],
)
async def test_what_is_no_readable_image_is_told(variant_stage, data, told):
    with pytest.raises(InvalidInput) as caught:
        await variant_stage.make(variant_stage.source(data), w="64")
    assert caught.value.code == "validation-failed"
    assert told in caught.value.message
    assert "JPEG, PNG, WebP, GIF" in caught.value.message
    assert variant_stage.kept() == []


@pytest.mark.rule("F124")
async def test_zip_bombs_beside_the_pixels_are_not_unpacked(variant_stage):
    bomb = zlib.compress(bytes(200_000_000), 9)
    pixels = chunk(b"IDAT", zlib.compress(bytes(64 * (64 * 3 + 1)) + bytes(100_000_000)))
    for extra in (
        chunk(b"zTXt", b"a\0\0" + bomb),
        chunk(b"iTXt", b"a\0\1\0\0\0" + bomb),
        chunk(b"iCCP", b"a\0\0" + bomb),
    ):
        source = variant_stage.source(png(64, 64, extra, pixels))
        try:
            made = await variant_stage.make(source, w="16")
        except InvalidInput as failure:
            assert failure.code == "validation-failed"
        else:
            assert decoded(made).size == (16, 16)


@pytest.mark.rule("F124")
async def test_a_process_past_its_bounds_ends_alone(variant_stage, monkeypatch):
    monkeypatch.setattr(download_limits, "IMAGE_MEMORY_BYTES_MAX", 150_000_000)
    source = variant_stage.source(encoded(Image.new("RGB", (7_000, 7_000))))
    with pytest.raises(InvalidInput, match="memory"):
        await variant_stage.make(source, w="16")
    monkeypatch.undo()
    again = variant_stage.source(encoded(HALVES))
    assert decoded(await variant_stage.make(again, w="16")).size == (16, 8)


@pytest.mark.rule("F124")
async def test_a_process_that_takes_too_long_is_ended(variant_stage, monkeypatch):
    monkeypatch.setattr(download_limits, "IMAGE_TIMEOUT_MS", 0)
    with pytest.raises(Unavailable) as caught:
        await variant_stage.make(variant_stage.source(encoded(HALVES)), w="16")
    assert caught.value.code == "timeout"
    monkeypatch.undo()
    assert await variant_stage.make(variant_stage.source(encoded(HALVES)), w="16")


@pytest.mark.rule("F124")
async def test_large_files_are_not_even_read(variant_stage, monkeypatch):
    monkeypatch.setattr(download_limits, "IMAGE_BYTES_MAX", 1_000)
    with pytest.raises(InvalidInput, match="1,000 are accepted"):
        await variant_stage.make(variant_stage.source(bytes(1_001)), w="16")
    assert not variant_stage.background.counts["image-variants"].runs


@pytest.mark.rule("F125")
async def test_a_variant_is_made_once_for_all_who_ask(variant_stage):
    source = variant_stage.source(encoded(HALVES))
    counts = variant_stage.background.counts["image-variants"]
    made = await asyncio.gather(*(variant_stage.make(source, w="64") for _ in range(20)))
    assert len(set(made)) == 1 and counts.runs == 1
    assert await variant_stage.make(source, w="63") == made[0]
    assert counts.runs == 1
    other = Background(variant_stage.runtime)
    later = variant_stage.opened(other)
    assert await variant_stage.make(source, variants=later, w="64") == made[0]
    assert not other.counts["image-variants"].runs


@pytest.mark.rule("F125")
async def test_who_leaves_leaves_the_others_their_variant(variant_stage):
    source = variant_stage.source(encoded(HALVES))
    first = asyncio.ensure_future(variant_stage.make(source, w="64"))
    second = asyncio.ensure_future(variant_stage.make(source, w="64"))
    await asyncio.sleep(0)
    first.cancel()
    assert decoded(await second).size == (64, 32)


@pytest.mark.rule("F125")
async def test_an_emptied_folder_costs_time_only(variant_stage):
    source = variant_stage.source(encoded(HALVES))
    made = await variant_stage.make(source, w="64")
    for path in variant_stage.folder.rglob("*.webp"):
        path.unlink()
    assert await variant_stage.make(source, w="64") == made


@pytest.mark.rule("F125")
async def test_what_is_no_image_is_remembered(variant_stage, monkeypatch):
    monkeypatch.setattr(download_limits, "UNREADABLE_IMAGES_MAX", 1)
    counts = variant_stage.background.counts["image-variants"]
    first, second = variant_stage.source(b"1"), variant_stage.source(b"2")
    for source, runs in ((first, 1), (first, 1), (second, 2), (first, 3)):
        with pytest.raises(InvalidInput):
            await variant_stage.make(source, w="64")
        assert counts.runs == runs


@pytest.mark.rule("F125")
async def test_bytes_that_are_elsewhere_are_copied_and_forgotten(variant_stage):
    source = variant_stage.source(encoded(HALVES, "BMP") + encoded(HALVES), is_local=False)
    with pytest.raises(InvalidInput):
        await variant_stage.make(source, w="64")
    source = variant_stage.source(encoded(HALVES), is_local=False)
    assert decoded(await variant_stage.make(source, w="64")).size == (64, 32)
    assert variant_stage.kept() == [f"{source.hash}-1-64x0-contain-80.webp"]


@pytest.mark.rule("F126")
async def test_variants_unused_for_longest_make_room(variant_stage, monkeypatch):
    monkeypatch.setattr(download_limits, "VARIANTS_MAX", 2)
    source = variant_stage.source(encoded(HALVES))
    for width in ("16", "32", "16", "48"):
        variant_stage.runtime.advance(1_000)
        await variant_stage.make(source, w=width)
    assert [name.split("-")[2] for name in variant_stage.kept()] == ["16x0", "48x0"]
    monkeypatch.setattr(download_limits, "VARIANTS_MAX", 1)
    later = variant_stage.opened(Background(variant_stage.runtime))
    await variant_stage.make(source, variants=later, w="48")
    assert [name.split("-")[2] for name in variant_stage.kept()] == ["48x0"]


@pytest.mark.rule("F126")
async def test_variants_are_bounded_in_bytes(variant_stage, monkeypatch):
    source = variant_stage.source(encoded(HALVES))
    first = await variant_stage.make(source, w="16", format="png")
    monkeypatch.setattr(download_limits, "VARIANTS_BYTES_MAX", len(first))
    for width in ("320", "16", "320"):
        await variant_stage.make(source, w=width, format="png")
        assert [name.split("-")[2] for name in variant_stage.kept()] == [f"{width}x0"]


@pytest.mark.rule("F127")
async def test_a_network_has_only_so_many_made(variant_stage):
    source = variant_stage.source(b"no image")
    with pytest.raises(InvalidInput):
        await variant_stage.make(source, w="16")
    image = variant_stage.source(encoded(HALVES))
    await variant_stage.make(image, w="16")
    for _ in range(download_limits.IMAGES_OF_NETWORK - 2):
        variant_stage.variants.charge("n")
    with pytest.raises(LimitExceeded) as caught:
        await variant_stage.make(image, w="32")
    assert caught.value.code == "rate-limited"
    assert await variant_stage.make(image, w="16")
    assert await variant_stage.make(image, network="other", w="32")


@pytest.mark.rule("F127")
async def test_a_full_queue_refuses(variant_stage, monkeypatch):
    source = variant_stage.source(encoded(HALVES))
    await variant_stage.make(source, w="32")
    waiting = [
        asyncio.ensure_future(
            variant_stage.make(variant_stage.source(encoded(HALVES) + bytes([n, 1])), w="16")
        )
        for n in range(download_limits.IMAGES_WAITING_MAX)
    ]
    await settle()
    counts = variant_stage.background.counts["image-variants"]
    assert counts.waiting == len(waiting) - download_limits.IMAGES_AT_ONCE
    with pytest.raises(Unavailable) as caught:
        await variant_stage.make(source, w="16")
    assert caught.value.code == "overloaded"
    await variant_stage.background.stop()
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(each, Unavailable) for each in ended[10:])


@pytest.mark.rule("F129")
async def test_a_folder_that_could_not_be_read_is_read_again(variant_stage, monkeypatch):
    source = variant_stage.source(encoded(HALVES))
    await variant_stage.make(source, w="16")
    later = variant_stage.opened(Background(variant_stage.runtime))

    def refuse(path):
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as broken:
        broken.setattr(os, "scandir", refuse)
        with pytest.raises(Unavailable):
            await variant_stage.make(source, variants=later, w="16")
    await variant_stage.make(source, variants=later, w="16")
    assert (later.counts.found, later.counts.made) == (1, 0)
