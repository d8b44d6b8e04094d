"""The engine for tests that need one. Other files name an engine only to test that engine."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from trice.apps.apps import Apps
from trice.catalog.attr import Attr
from trice.catalog.system import system_attrs
from trice.database import Database
from trice.rules.document import Rules
from trice.runtime import Runtime
from trice.store.sqlite.engine import SqliteEngine
from trice.store.sqlite.engines import SqliteEngines


def app_engine(
    path: Path, runtime: Runtime, *, attrs: Iterable[Attr] | None = None
) -> SqliteEngine:
    """An app's engine on this file, which is made if there is none.

    attrs   the attrs every app has; None: the system catalog
    """
    attrs = system_attrs() if attrs is None else attrs
    return SqliteEngine.open(path, runtime=runtime, system_attrs=attrs)


async def open_database(
    path: Path, *, runtime: Runtime, rules: Rules | None = None, **options: Any
) -> Database:
    """An app on this file, which is made if there is none; `options` as `Database.open`."""
    return await Database.open(
        lambda attrs: SqliteEngine.open(path, runtime=runtime, system_attrs=attrs),
        runtime=runtime,
        rules=Rules.parse(None) if rules is None else rules,
        **options,
    )


async def open_apps(folder: Path, *, runtime: Runtime, **options: Any) -> Apps:
    """The apps of a data directory, without claiming it; `options` as `Apps.open`."""
    return await Apps.open(SqliteEngines(folder, runtime=runtime), runtime=runtime, **options)
