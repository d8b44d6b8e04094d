"""Examples of frameworks as ASGI or WSGI applications, asked without a port."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from client_apps import App

EXAMPLES = Path(__file__).parents[3] / "examples" / "frameworks"


@contextmanager
def example(name: str, app: App) -> Iterator[ModuleType]:
    """A module of the examples, that serves this app."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRICE_APP", app.id)
        patch.setenv("TRICE_URL", app.url)
        patch.setenv("TRICE_ADMIN_TOKEN", app.admin_token)
        patch.syspath_prepend(str(EXAMPLES))
        try:
            yield importlib.import_module(name)
        finally:
            sys.modules.pop(name, None)
