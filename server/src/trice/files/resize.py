"""Makes one image variant. Runs as a process of its own: `python resize.py ORDER`.

The image comes from a stranger, and decoders are large programs in C. So they run where a fault
ends nothing but this process, with bounds that the system holds: memory, time, size of what is
written. It knows none of the server's secrets and imports nothing of the server.

ORDER is JSON, see `Order`. It prints `{}`, or `{"problem": "…"}` for an image that is none.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import resource
import sys
from typing import TYPE_CHECKING, Any, Final, TypedDict

if TYPE_CHECKING:
    from PIL.Image import Image

_FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")
_SWAPS_SIDES: Final = (5, 6, 7, 8)
_ORIENTATION: Final = 0x0112
"""The tag of EXIF that tells how the camera was held."""


class Order(TypedDict):
    """What to make.

    source, target   paths; the target must not exist
    sides            width and height wanted, 0: as the other tells
    """

    source: str
    target: str
    sides: tuple[int, int]
    is_cover: bool
    format: str
    quality: int
    pixels_max: int
    memory_bytes_max: int
    cpu_s_max: int


class _Unreadable(Exception):
    """The image is none, or more than is accepted. Its text is for the caller."""


def make(order: Order) -> None:
    """Write the variant, durably."""
    from PIL import Image, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None  # the bound below has a message of its own
    _load_decoders()
    formats: list[str] = [each for each in _FORMATS if each in Image.OPEN]
    try:
        with Image.open(order["source"], formats=formats) as image:
            width, height = image.size
            if width * height > order["pixels_max"]:
                raise _Unreadable(
                    f"it has {width:,} × {height:,} pixels; {order['pixels_max']:,} are accepted"
                )
            made = _shown(image, order)
    except UnidentifiedImageError:
        raise _Unreadable("it is no image of these types") from None
    with open(order["target"], "xb") as file:
        _save(made, file, order)
        file.flush()
        os.fsync(file.fileno())


def _load_decoders() -> None:
    """Import what reads the accepted types; by itself Pillow imports all it has."""
    for name in ("Gif", "Jpeg", "Png", "WebP", "Avif"):
        with contextlib.suppress(ImportError):
            importlib.import_module(f"PIL.{name}ImagePlugin")


def target_size(
    sides: tuple[int, int], source_size: tuple[int, int], *, is_cover: bool
) -> tuple[tuple[int, int], tuple[float, float, float, float]]:
    """The size that a variant of an image has, and the part of the image that it shows: left, top,
    right, bottom."""
    width, height = sides
    source_width, source_height = source_size
    by_width = width / source_width if width else None
    by_height = height / source_height if height else None
    scales = [scale for scale in (by_width, by_height) if scale is not None]
    scale = min((max if is_cover else min)(scales), 1.0)
    if not is_cover:
        size = _whole(source_width * scale), _whole(source_height * scale)
        return size, (0.0, 0.0, float(source_width), float(source_height))
    shrink = min(1.0, 1 / max(scales))
    size = _whole(width * shrink), _whole(height * shrink)
    shown_width = min(width * shrink / scale, source_width)
    shown_height = min(height * shrink / scale, source_height)
    left, top = (source_width - shown_width) / 2, (source_height - shown_height) / 2
    return size, (left, top, left + shown_width, top + shown_height)


def _whole(length: float) -> int:
    return max(round(length), 1)


def _shown(image: Image, order: Order) -> Image:
    """The part of the image that is wanted, in the size wanted, as the camera was held."""
    from PIL.Image import Resampling

    orientation = image.getexif().get(_ORIENTATION, 1)
    is_swapped = orientation in _SWAPS_SIDES
    width, height = image.size
    seen = (height, width) if is_swapped else (width, height)
    size, box = target_size(order["sides"], seen, is_cover=order["is_cover"])
    if is_swapped:
        size, box = (size[1], size[0]), (box[1], box[0], box[3], box[2])
    scale = min((box[2] - box[0]) / size[0], (box[3] - box[1]) / size[1])
    # A JPEG can be decoded to a half, quarter or eighth of its size, in a fraction of the time.
    image.draft(None, (int(width / scale * 2), int(height / scale * 2)))
    x, y = image.size[0] / width, image.size[1] / height
    box = (box[0] * x, box[1] * y, box[2] * x, box[3] * y)
    profile = image.info.get("icc_profile")
    pixels = _plain(image).resize(size, Resampling.LANCZOS, box=box, reducing_gap=2.0)
    return _turned(_in_srgb(pixels, profile), orientation)


def _plain(image: Image) -> Image:
    """The image without palette, and with channels of 8 bits."""
    image.load()
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        return image.point(lambda value: value * (1 / 256)).convert("L")
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")


def _in_srgb(image: Image, profile: bytes | None) -> Image:
    """The image in the colours that every screen knows, as the variant carries no profile."""
    if profile and image.mode in ("RGB", "RGBA", "CMYK"):
        from PIL import ImageCms

        alpha = image.getchannel("A") if image.mode == "RGBA" else None
        colours = image if alpha is None else image.convert("RGB")
        # A profile that is none, or that is for other channels, is ignored, as browsers do.
        with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
            given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            srgb = ImageCms.createProfile("sRGB")
            changed = ImageCms.profileToProfile(colours, given, srgb, outputMode="RGB")
            assert changed is not None
            if alpha is not None:
                changed.putalpha(alpha)
            return changed
    return image.convert("RGB") if image.mode == "CMYK" else image


def _turned(image: Image, orientation: int) -> Image:
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    turn = turns.get(orientation)
    return image if turn is None else image.transpose(turn)


def _save(image: Image, file: Any, order: Order) -> None:
    from PIL import Image as images

    image_format, quality = order["format"], order["quality"]
    if image_format == "jpeg" and image.mode == "RGBA":
        flat = images.new("RGB", image.size, "white")
        flat.paste(image, mask=image.getchannel("A"))
        image = flat
    # Whatever stood beside the pixels is left behind: place and time, camera, comments, previews.
    image.info = {}
    options: dict[str, Any] = {
        "jpeg": {"quality": quality, "progressive": True, "optimize": True},
        "png": {},
        "webp": {"quality": quality, "method": 4},
        "avif": {"quality": quality, "speed": 8, "max_threads": 1},
    }[image_format]
    image.save(file, image_format.upper(), **options)


def _bound(order: Order) -> None:
    """Take bounds that this process cannot raise again."""
    for kind, amount in (
        (resource.RLIMIT_AS, order["memory_bytes_max"]),
        (resource.RLIMIT_CPU, order["cpu_s_max"]),
        (resource.RLIMIT_FSIZE, order["memory_bytes_max"] // 8),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(OSError, ValueError):  # not every system has each of them
            resource.setrlimit(kind, (amount, amount))
    os.nice(5)  # messages and transactions come first


def main(argument: str) -> None:
    """Carry out an order."""
    order: Order = json.loads(argument)
    _bound(order)
    told = {}
    try:
        make(order)
    except _Unreadable as failure:
        told["problem"] = str(failure)
    except MemoryError:
        told["problem"] = "decoding it takes too much memory"
    except Exception:
        # Decoders fail in every way there is, by any kind of exception.
        told["problem"] = "it is damaged"
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1])
