"""Google's implementation of CEL, made once for the tests of expressions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from support.cel_google import make_google


@pytest.fixture(scope="session")
def google() -> Callable[[str], Any]:
    """Evaluates as Google's library does; skips where that is not installed."""
    return make_google()
