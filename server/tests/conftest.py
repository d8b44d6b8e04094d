"""What holds in every test."""

from __future__ import annotations

pytest_plugins = ("support.coroutines",)
