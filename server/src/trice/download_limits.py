"""Bounds of reading files: what a download and an image variant may cost.

As in `limits`: a name, its unit, and what happens beyond it.
"""

from __future__ import annotations

RANGE_CHARS_MAX = 64
"""A `Range` header that is looked at; the longest that asks for one span of a file is shorter.
Longer: ignored, and the whole file is sent, as RFC 9110 §14.2 allows."""

READ_BYTES = 256 * 1024
"""One piece of a file that is read and sent. A client that does not read costs one, in its socket's
buffer: the next is read once it has left."""

FILENAME_CHARS_MAX = 200
"""The name in `content-disposition`; file systems take 255 bytes. Longer: cut, its suffix kept."""

REDIRECT_SPARE_S = 60
"""A client does not follow a redirect that it kept when the URL of the bucket ends this soon."""

# --- image variants ------------------------------------------------------------------------------

VARIANT_SIDES = (16, 32, 48, 64, 96, 128, 192, 256, 320, 384, 512, 640, 768, 1024, 1280, 1600, 1920)
"""Widths and heights that variants have, in pixels. What is asked for is rounded up to the next, so
that a file has a bounded number of variants. Larger than the last: `param-malformed`."""

VARIANT_QUALITIES = (40, 60, 80, 95)
"""Qualities of variants; `q` is rounded up to the next."""

IMAGE_PIXELS_MAX = 50_000_000
"""An image that is decoded, by the size its header tells: the cameras of phones make 50 million,
200 MB in memory. More: `validation-failed`, before anything is decoded."""

IMAGE_BYTES_MAX = 64 * 1024 * 1024
"""The file that such an image is in. More: `validation-failed`."""

IMAGE_MEMORY_BYTES_MAX = 1024 * 1024 * 1024
"""Memory that the process which makes a variant may ask for. More: it ends, and the file counts as
one that cannot be read."""

IMAGE_CPU_S_MAX = 20
"""Its time on a core. More: as above."""

IMAGE_TIMEOUT_MS = 60_000
"""How long it may take in all, also while other work has the cores. Longer: `timeout`."""

IMAGES_AT_ONCE = 2
"""Such processes at a time; more files wait."""

IMAGES_WAITING_MAX = 200
"""Variants that are made or wait: a page of a gallery asks for a hundred. More: `overloaded`."""

IMAGES_EPHEMERAL_AT_ONCE = 1
IMAGES_EPHEMERAL_WAITING_MAX = 50
"""How many of those may be of throw-away apps."""

IMAGES_OF_NETWORK = 600
IMAGES_PERIOD_MS = 60_000
"""Variants that one network may have made, not those that are there already. More:
`rate-limited`."""

VARIANTS_BYTES_MAX = 1024 * 1024 * 1024
VARIANTS_MAX = 100_000
"""Variants kept on disk, by size and by number. More: those unused for longest are removed; they
are made again when asked for."""

VARIANT_KEPT_MS = 7 * 24 * 3_600_000
"""How long a variant is kept that nobody asks for. URLs are valid as long."""

VARIANTS_SWEEP_MS = 3_600_000
"""How often such variants are looked for."""

UNREADABLE_IMAGES_MAX = 1_000
"""Files remembered as no image that can be read. More: the oldest is tried again when asked for."""

assert tuple(sorted(VARIANT_SIDES)) == VARIANT_SIDES
assert IMAGES_EPHEMERAL_AT_ONCE < IMAGES_AT_ONCE
assert IMAGES_EPHEMERAL_WAITING_MAX < IMAGES_WAITING_MAX
assert 4 * IMAGE_PIXELS_MAX < IMAGE_MEMORY_BYTES_MAX // 2
