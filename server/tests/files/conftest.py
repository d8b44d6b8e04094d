"""Image variants in a folder of their own."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path

import pytest

from support.runtime import FakeRuntime
from trice.auth.throttle import Throttle
from trice.background import Background
from trice.files.threads import FileThreads
from trice.files.variant import find_variant
from trice.files.variants import Source, Variants
from trice.rate_limit import Buckets

APP = "11111111-1111-4111-8111-111111111111"


class VariantStage:
    """Variants of images that a test writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "variants"
        self.images = folder
        self.runtime = FakeRuntime()
        self.background = Background(self.runtime)
        self.threads = FileThreads()
        self.variants = self.opened(self.background)

    def opened(self, background: Background) -> Variants:
        """The variants of a server that starts on the same folder."""
        throttle = Throttle(Buckets(self.runtime), self.runtime)
        return Variants(
            self.folder,
            runtime=self.runtime,
            background=background,
            throttle=throttle,
            threads=self.threads,
        )

    def source(self, data: bytes, *, is_local: bool = True, app_id: str = APP) -> Source:
        digest = hashlib.sha256(data).hexdigest()
        path = self.images / digest
        path.write_bytes(data)

        async def read() -> AsyncGenerator[bytes, None]:
            for start in range(0, len(data), 1000):
                yield data[start : start + 1000]

        return Source(app_id, digest, len(data), path if is_local else None, read)

    async def make(
        self, source: Source, network: str = "n", variants: Variants | None = None, **params: str
    ) -> bytes:
        """The bytes of a variant."""
        variant = find_variant(params)
        assert variant is not None
        opened = await (variants or self.variants).open(
            variant, source, network=network, is_minor=False
        )
        return b"".join([piece async for piece in opened.read(0, opened.size)])

    def kept(self) -> list[str]:
        """Names of the files in the folder."""
        return sorted(path.name for path in self.folder.rglob("*") if path.is_file())


@pytest.fixture
async def variant_stage(tmp_path: Path) -> AsyncIterator[VariantStage]:
    stage = VariantStage(tmp_path)
    yield stage
    await stage.background.stop()


Make = Callable[..., bytes]
