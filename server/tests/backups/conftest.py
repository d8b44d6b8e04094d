from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from support.archive_stage import Stage, open_stage
from support.backup_stage import fill


@pytest.fixture
async def stage(tmp_path: Path, exits: AsyncExitStack) -> Stage:
    """A data directory with two apps, as a server has it open."""
    opened = await exits.enter_async_context(open_stage(tmp_path / "data"))
    await fill(opened)
    return opened
