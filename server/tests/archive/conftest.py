from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from support.archive_stage import Stage, open_stage


@pytest.fixture
async def stage(tmp_path: Path, exits: AsyncExitStack) -> Stage:
    """An empty data directory."""
    return await exits.enter_async_context(open_stage(tmp_path / "data"))
