"""A project whose functions follow changes, on a server in this process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import apsw

from support.job_project import JobProject
from support.runtime import settle
from trice.runtime import new_uuid


class HookProject(JobProject):
    """The project `follows`."""

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(folder, "follows", **options)

    async def open(self, *, has_hooks: bool = True) -> None:
        """As above.

        has_hooks   False: nobody follows, as if the server were down
        """
        self.has_hooks = has_hooks
        await super().open()

    async def settle(self) -> None:
        """Let everybody work for a moment."""
        await settle()

    # --- writes -----------------------------------------------------------------------------------

    async def admin(self, *steps: Any) -> None:
        """A transaction of the admin API."""
        await self.app.database.change(lambda change: change.write(*steps))

    def new_id(self) -> str:
        return new_uuid(self.runtime)

    async def _create(self, etype: str, **fields: Any) -> str:
        made = self.new_id()
        await self.admin(["update", etype, made, fields])
        return made

    async def message(self, text: str) -> str:
        return await self._create("messages", text=text)

    async def tag(self, name: str) -> str:
        return await self._create("tags", name=name)

    async def author(self, name: str) -> str:
        return await self._create("authors", name=name)

    # --- what there is ----------------------------------------------------------------------------

    def module(self) -> Any:
        return sys.modules["functions.hooks"]

    def done(self) -> list[Any]:
        """What actions did outside of the database, since the project was opened."""
        return list(self.module().DONE)

    def fails(self) -> set[str]:
        found: set[str] = self.module().FAILS
        return found

    async def table(self, etype: str) -> list[dict[str, Any]]:
        found = await self.app.database.look(lambda look: look.find({etype: {}}))
        return found[etype]

    async def row(self, etype: str, entity: str) -> dict[str, Any]:
        return next(row for row in await self.table(etype) if row["id"] == entity)

    async def seen(self, what: str) -> int:
        """How often a hook noted this."""
        return sum(row["what"] == what for row in await self.table("seen"))

    async def hook_rows(self) -> list[dict[str, Any]]:
        return await self.table("$hooks")

    def cut_log(self, kept: int) -> None:
        """Remove all but the newest transactions from the log of the app, which is closed."""
        (path,) = self.folder.rglob(f"{self.app_id}.db")
        raw = apsw.Connection(str(path))
        raw.execute("DELETE FROM _tx WHERE id <= (SELECT max(id) FROM _tx) - ?", (kept,))
        raw.close()
