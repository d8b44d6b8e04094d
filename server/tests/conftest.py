"""What holds in every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.described import misfits

pytest_plugins = ("support.coroutines",)


@pytest.fixture(autouse=True)
def every_frame_is_described() -> Iterator[None]:
    """No test client may have been sent what the description of the wire does not say (P200)."""
    misfits.clear()
    yield
    assert misfits == []
