"""Which image variants there are: parameters of a URL to one of a bounded number. No I/O.

?w=300&h=200&fit=cover&format=webp&q=75  ──rounded up──>  320 × 256, cover, webp, 80
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, cast

from trice import download_limits as limits
from trice.errors import InvalidInput
from trice.protocol.quoting import brief

Fit = Literal["contain", "cover"]
Format = Literal["webp", "jpeg", "png", "avif"]

FORMATS: Final = ("webp", "jpeg", "png", "avif")
READABLE: Final = "JPEG, PNG, WebP, GIF (its first frame) and AVIF"
_FITS: Final = ("contain", "cover")
_KEYS: Final = ("w", "h", "fit", "format", "q")
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Variant:
    """One form of an image.

    width, height  pixels it has at most, of `limits.VARIANT_SIDES`; 0: as the other side tells.
                   An image is never enlarged
    fit            contain: all of the image, within width × height; cover: cut to their ratio
    quality        of `limits.VARIANT_QUALITIES`; 0 for PNG, which has none
    """

    width: int
    height: int
    fit: Fit
    format: Format
    quality: int

    @property
    def name(self) -> str:
        """Its name in file names and ETags: equal variants have equal names. The number at its
        begin changes when the same variant is made in another way."""
        return f"1-{self.width}x{self.height}-{self.fit}-{self.quality}.{self.format}"

    @property
    def media_type(self) -> str:
        return f"image/{self.format}"


def find_variant(params: Mapping[str, str]) -> Variant | None:
    """The variant that the query parameters of a URL ask for; None when they ask for none.

    raises   InvalidInput("param-malformed") that says what is accepted
    """
    if not any(key in params for key in _KEYS):
        return None
    width, height = _side(params, "w"), _side(params, "h")
    if not width and not height:
        raise _malformed("w", "", "given, or h: a variant has a width, a height, or both")
    fit = cast(Fit, _choice(params, "fit", _FITS))
    image_format = cast(Format, _choice(params, "format", FORMATS))
    quality = _number(params, "q", limits.VARIANT_QUALITIES) or 80
    return Variant(
        width,
        height,
        fit if width and height else "contain",
        image_format,
        0 if image_format == "png" else quality,
    )


def _side(params: Mapping[str, str], key: str) -> int:
    return _number(params, key, limits.VARIANT_SIDES)


def _number(params: Mapping[str, str], key: str, steps: tuple[int, ...]) -> int:
    """A parameter rounded up to the next of `steps`; 0 without it."""
    given = params.get(key)
    if given is None:
        return 0
    number = int(given) if _NUMBER.fullmatch(given) else 0
    largest = 100 if key == "q" else steps[-1]
    if not 0 < number <= largest:
        raise _malformed(key, given, f"a whole number from 1 to {largest}")
    return next((step for step in steps if step >= number), steps[-1])


def _choice(params: Mapping[str, str], key: str, accepted: tuple[str, ...]) -> str:
    given = params.get(key, accepted[0])
    if given not in accepted:
        raise _malformed(key, given, " or ".join(accepted))
    return given


def _malformed(key: str, given: str, accepted: str) -> InvalidInput:
    return InvalidInput(
        "param-malformed",
        f'Malformed parameter: ["params" "{key}"]. It must be {accepted}.',
        {"in": ["params", key], "original-input": brief(given)},
    )
