"""Soft-deleted attrs: listed until they are removed for good, with their values.

    deleted ──limits.DELETED_ATTR_MS──> values forgotten, a few rows at a time ──> removed

source   instant-http §3.6, §5.8; spec/schema-jobs.md
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Final

from trice import account_limits as limits
from trice.apps.apps import App, Apps
from trice.background import Background
from trice.catalog.attr import Attr
from trice.catalog.dates import iso_text
from trice.database import Look
from trice.errors import NotFound, TriceError
from trice.log import fields
from trice.protocol.ids import AppId, EntityId, uuid_text
from trice.runtime import Runtime
from trice.store.reshaping import Progress
from trice.transact.steps import RemoveAttr

logger: Final = logging.getLogger("trice.apps")


def told(app: App) -> dict[str, Any]:
    """The soft-deleted attrs of an app as clients read them, the newest first."""
    deleted = sorted(_deleted(app), key=lambda attr: (-(attr.deleted_ms or 0), attr.id))
    return {
        "attrs": [
            {
                **attr.wire(),
                **_decorated(attr),
                "deletion-marked-at": iso_text(attr.deleted_ms or 0),
            }
            for attr in deleted
        ],
        "grace-period-days": limits.DELETED_ATTR_MS // (24 * 3600 * 1000),
    }


class RemovedAttrs:
    """Removes attrs whose time is over, app by app."""

    def __init__(self, apps: Apps, *, runtime: Runtime) -> None:
        self._apps = apps
        self._runtime = runtime

    def start(self, background: Background) -> None:
        """Look at all apps every limits.DELETED_ATTRS_SWEEP_MS."""
        background.every("deleted-attrs", limits.DELETED_ATTRS_SWEEP_MS, lambda _: self.sweep())

    async def sweep(self) -> None:
        """Remove what is due in all apps. A failure in one is logged, and the others are swept."""
        after = b""
        while True:
            ids = await self._apps.platform.look(lambda look: _page(look, after))  # noqa: B023
            if not ids:
                return
            after = ids[-1]
            for app_id in map(AppId, map(uuid_text, ids)):
                try:
                    await self._sweep_app(app_id)
                except NotFound:
                    continue  # it is deleted, or its time is over
                except TriceError as failure:
                    reason = fields(app=app_id, reason=failure.message)
                    logger.warning("deleted attrs of an app were not removed %s", reason)
            await self._runtime.sleep_ms(limits.DELETED_ATTRS_PAUSE_MS)

    async def _sweep_app(self, app_id: AppId) -> None:
        app = await self._apps.lend(app_id)
        try:
            oldest_ms = self._runtime.now_ms() - limits.DELETED_ATTR_MS
            for attr in [attr for attr in _deleted(app) if (attr.deleted_ms or 0) <= oldest_ms]:
                await self._remove(app, attr)
        finally:
            self._apps.give_back(app)

    async def _remove(self, app: App, attr: Attr) -> None:
        await app.database.engine.reshaping.empty(attr, Progress())
        await app.database.change_schema(lambda _: [RemoveAttr(attr.id)])
        logger.info("deleted attr removed %s", fields(app=app.id, attr=attr.id))


def _deleted(app: App) -> Iterable[Attr]:
    return (attr for attr in app.database.catalog.by_id.values() if attr.deleted_ms is not None)


def _decorated(attr: Attr) -> dict[str, list[str]]:
    """Its names with a prefix to namespaces too; clients cut both at `_deleted$`."""
    names = {"forward-identity": attr.forward, "reverse-identity": attr.reverse}
    return {
        key: [name.id, f"{attr.id}_deleted${name.etype}", name.label]
        for key, name in names.items()
        if name is not None
    }


def _page(look: Look, after: bytes) -> list[EntityId]:
    apps = look.catalog.namespaces["$apps"]
    rows = look.stored.scan(apps, after=after, count=limits.DELETED_ATTRS_APPS)
    return [EntityId(row[0]) for row in rows if isinstance(row[0], bytes)]
