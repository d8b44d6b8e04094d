"""Parameters of a URL to one of a bounded number of variants."""

from __future__ import annotations

import pytest

from trice import download_limits
from trice.errors import InvalidInput
from trice.files.resize import target_size
from trice.files.variant import find_variant


@pytest.mark.rule("F120")
@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"w": "320"}, "1-320x0-contain-80.webp"),
        ({"w": "257", "h": "1"}, "1-320x16-contain-80.webp"),
        ({"h": "1920", "q": "100"}, "1-0x1920-contain-95.webp"),
        ({"w": "100", "h": "100", "fit": "cover", "q": "1"}, "1-128x128-cover-40.webp"),
        ({"w": "100", "fit": "cover"}, "1-128x0-contain-80.webp"),
        ({"w": "100", "format": "png", "q": "61"}, "1-128x0-contain-0.png"),
        ({"w": "100", "format": "avif", "q": "61"}, "1-128x0-contain-80.avif"),
    ],
)
def test_what_is_asked_for_is_rounded_up(params: dict[str, str], name: str) -> None:
    variant = find_variant({"signature": "x", **params})
    assert variant is not None and variant.name == name


@pytest.mark.rule("F120")
def test_urls_without_parameters_of_variants_ask_for_the_file() -> None:
    assert find_variant({"signature": "x", "width": "3"}) is None


@pytest.mark.rule("F120")
def test_a_file_has_a_bounded_number_of_variants() -> None:
    names = set()
    for width in [None, *range(1, 1921, 13)]:
        for height in [None, *range(1, 1921, 17)]:
            sides = {"w": width, "h": height}
            params = {key: str(side) for key, side in sides.items() if side is not None}
            for fit in ("contain", "cover") if params else ():
                variant = find_variant({**params, "fit": fit})
                assert variant is not None
                names.add(variant.name)
    sides = len(download_limits.VARIANT_SIDES)
    assert len(names) == 2 * sides * sides + 2 * sides


@pytest.mark.rule("F121")
@pytest.mark.parametrize(
    ("params", "key", "told"),
    [
        ({"w": "0"}, "w", "a whole number from 1 to 1920"),
        ({"w": "-5"}, "w", "a whole number from 1 to 1920"),
        ({"w": "1921"}, "w", "a whole number from 1 to 1920"),
        ({"w": "9" * 5_000}, "w", "a whole number from 1 to 1920"),
        ({"w": "1e3"}, "w", "a whole number from 1 to 1920"),
        ({"w": "٣"}, "w", "a whole number from 1 to 1920"),
        ({"h": ""}, "h", "a whole number from 1 to 1920"),
        ({"w": "5", "q": "101"}, "q", "a whole number from 1 to 100"),
        ({"w": "5", "fit": "fill"}, "fit", "contain or cover"),
        ({"w": "5", "format": "../x"}, "format", "webp or jpeg or png or avif"),
        ({"format": "webp"}, "w", "given, or h"),
    ],
)
def test_wrong_parameters_say_what_is_accepted(params: dict[str, str], key: str, told: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        find_variant(params)
    assert caught.value.code == "param-malformed"
    assert caught.value.hint["in"] == ["params", key]
    assert told in caught.value.message and len(caught.value.message) < 300


@pytest.mark.rule("F122")
@pytest.mark.parametrize(
    ("sides", "source", "is_cover", "size", "box"),
    [
        ((100, 0), (400, 200), False, (100, 50), (0, 0, 400, 200)),
        ((0, 100), (400, 200), False, (200, 100), (0, 0, 400, 200)),
        ((100, 100), (400, 200), False, (100, 50), (0, 0, 400, 200)),
        ((100, 100), (400, 200), True, (100, 100), (100, 0, 300, 200)),
        ((100, 100), (200, 400), True, (100, 100), (0, 100, 200, 300)),
        ((640, 640), (400, 200), False, (400, 200), (0, 0, 400, 200)),
        ((640, 640), (400, 200), True, (200, 200), (100, 0, 300, 200)),
        ((640, 320), (400, 100), True, (200, 100), (100, 0, 300, 100)),
        ((16, 0), (4000, 2), False, (16, 1), (0, 0, 4000, 2)),
    ],
)
def test_sizes(sides, source, is_cover, size, box) -> None:
    found, part = target_size(sides, source, is_cover=is_cover)
    assert (found, part) == (size, pytest.approx(box))
