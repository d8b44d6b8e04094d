"""A data directory into which archives are imported, and from which they are exported."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from support.archives import Archive, attr
from support.runtime import FakeRuntime
from trice.apps.registry import Registry
from trice.archive.compare import Compared, compare
from trice.archive.container import Container
from trice.archive.export import Exported, export_app
from trice.archive.load import Options, import_archive
from trice.archive.report import Report
from trice.database import Database
from trice.files.storage import Storage
from trice.protocol.ids import AppId
from trice.rules.document import Rules
from trice.server import open_engines, open_storage
from trice.store.engines import Engines
from trice.webhooks.rows import Rows
from trice.webhooks.webhook import Webhook


def written(archive: Archive, path: Path) -> Path:
    return archive.write(path)


class Ears:
    """Hears of progress, and may act on it."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, int]] = []

    def read(self, bytes_so_far: int, bytes_in_all: int) -> None:
        self.told.append(("read", bytes_so_far, bytes_in_all))

    def indexed(self, done: int, of: int) -> None:
        self.told.append(("indexed", done, of))


class Stage:
    """An open data directory."""

    def __init__(
        self, folder: Path, engines: Engines, registry: Registry, storage: Storage, runtime: Any
    ) -> None:
        self.folder = folder
        self.engines = engines
        self.registry = registry
        self.storage = storage
        self.runtime = runtime
        self.ears = Ears()

    async def load(self, archive: Archive | Path, **options: Any) -> Report:
        """Import an archive; `options` as `load.Options`."""
        path = (
            archive
            if isinstance(archive, Path)
            else written(archive, self.folder.parent / "in.zip")
        )
        return await import_archive(
            path,
            engines=self.engines,
            registry=self.registry,
            storage=self.storage,
            runtime=self.runtime,
            options=Options(**options),
            progress=self.ears,
        )

    @asynccontextmanager
    async def database(self, app_id: str) -> AsyncIterator[Database]:
        """The open database of an app."""
        row = self.registry.find(AppId(app_id))
        assert row is not None
        database = await Database.open(
            partial(self.engines.open, row.id, is_new=False),
            runtime=self.runtime,
            rules=Rules.parse(row.rules, is_open=row.is_open, is_stored=True),
            app_id=row.id,
        )
        try:
            yield database
        finally:
            await database.close()

    async def export(self, app_id: str, path: Path, **options: Any) -> Exported:
        """Export an app."""
        async with self.database(app_id) as database:
            return await self.export_open(app_id, path, database, **options)

    async def export_open(
        self, app_id: str, path: Path, database: Database, **options: Any
    ) -> Exported:
        row = self.registry.find(AppId(app_id))
        assert row is not None
        return await export_app(
            path,
            row=row,
            engine=database.engine,
            blobs=self.storage.blobs,
            runtime=self.runtime,
            is_for_instant=options.get("is_for_instant", False),
            on_progress=options.get("on_progress", lambda done, of: None),
            webhooks=await self.webhooks(app_id),
        )

    async def webhooks(self, app_id: str) -> list[Webhook]:
        """The webhooks of an app, oldest first."""
        rows = Rows(self.registry.database, runtime=self.runtime)
        return [row.webhook for row in await rows.load_of(app_id)]

    async def compare(self, app_id: str, path: Path, *, is_whole: bool = True) -> Compared:
        """Compare an app with an archive."""
        row = self.registry.find(AppId(app_id))
        assert row is not None
        async with self.database(app_id) as database:
            with Container(path) as container:
                return await compare(
                    container,
                    row=row,
                    engine=database.engine,
                    blobs=self.storage.blobs,
                    runtime=self.runtime,
                    is_whole=is_whole,
                )

    def left(self) -> list[str]:
        """What is kept in the data directory besides what an empty one has."""
        usual = {"lock", "platform.db", "platform.db-wal", "platform.db-shm", "used-upload-urls"}
        return sorted(
            str(path.relative_to(self.folder))
            for path in self.folder.rglob("*")
            if path.is_file() and path.name not in usual
        )


@asynccontextmanager
async def open_stage(folder: Path, runtime: FakeRuntime | None = None) -> AsyncIterator[Stage]:
    """Open a data directory, as commands do."""
    made = runtime or FakeRuntime()
    engines = open_engines(folder, runtime=made)
    registry = await Registry.open(engines, runtime=made)
    storage = open_storage(folder, runtime=made)
    try:
        yield Stage(folder, engines, registry, storage, made)
    finally:
        await storage.close()
        await registry.close()
        engines.close()


def small_shop() -> Archive:
    """A little of everything: users who are signed in, files, links, and OAuth."""
    made = Archive()
    made.namespace(
        "goods",
        title=attr("string", indexed=True, required=True),
        sku=attr("string", unique=True, indexed=True),
        price=attr("number", indexed=True),
        due=attr("date"),
        extra=attr(),
    )
    made.namespace("tags", name=attr("string", unique=True))
    made.link("goods.tags:many", "tags.goods:many")
    made.link("goods.owner:one", "$users.goods:many", on_delete=True)
    alice = made.add("$users", {"email": "alice@example.com", "type": "user", "imageURL": None})
    tag = made.add("tags", {"name": "new"})
    made.add(
        "goods",
        {
            "title": "Kettle",
            "sku": "k-1",
            "price": 20.5,
            "due": "2026-01-02",
            "extra": {"b": [1, None]},
            "tags": [tag],
            "owner": alice,
        },
    )
    made.add("goods", {"title": "Cup", "sku": None, "price": None, "due": None})
    made.file("photos/kettle.png", b"\x89PNG" + bytes(5000))
    return made
