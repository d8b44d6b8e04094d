"""The platform's own database: which apps exist, the hashes of their tokens, when they end.

It is a database like that of an app, with namespaces of its own (`catalog.platform`). Only this
process writes it. A row that is not kept decoded is read by its key, on the loop: 10 µs, however
many apps there are.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import msgspec
import orjson

from trice import limits
from trice.apps.settings import Settings
from trice.catalog.platform import platform_attrs
from trice.database import Change, Database, Look
from trice.errors import NotFound, Unavailable, no_record
from trice.protocol.ids import AppId, find_uuid_bytes, uuid_text
from trice.rules.document import Rules
from trice.runtime import Runtime
from trice.store.commit import Commit
from trice.store.engines import NEW_PLATFORM, PLATFORM, EarlierPlatform, Engines
from trice.system_rows import FoundRow, find_row

_APPS: Final = "$apps"


@dataclass(frozen=True, slots=True)
class AppRow:
    """One app as the platform knows it.

    is_open     whether callers may do what no rule speaks about
    rules       the rules document as given, or None
    expires_ms  when a throw-away app ends; None: never
    """

    id: AppId
    title: str
    admin_token_hash: bytes
    is_open: bool
    rules: Any
    created_ms: int
    expires_ms: int | None
    settings: Settings


def hash_token(token: str) -> bytes:
    """SHA-256 of a uuid token's 16 bytes; only this is stored (instant-http §0.5)."""
    return hashlib.sha256(bytes.fromhex(token.replace("-", ""))).digest()


def unknown_app(app_id: str) -> NotFound:
    """The error for an unknown or expired app."""
    told = "There is no app with this id, or its time is over."
    return no_record("app", told, {"app-id": app_id})


class Registry:
    """Holds the platform's database, and the rows of apps that were used last, decoded. Does not
    hold the databases of apps. `database` is for what else is kept there (`webhooks`).

    Every method may raise Unavailable: "overloaded" when the disk is full, "data-unusable" when
    the platform's database is damaged. A change is durable when its call returns; a cancelled call
    may still make its change.
    """

    def __init__(self, database: Database) -> None:
        """Use `open`."""
        self.database = self._database = database
        self._rows: OrderedDict[AppId, tuple[AppRow, int]] = OrderedDict()
        self._rows_bytes = 0
        database.on_commits(self._forget_changed)

    @classmethod
    async def open(cls, engines: Engines, *, runtime: Runtime) -> Registry:
        """Open the platform's database; make it if the data directory has no apps either.

        The list of an earlier version, which had another form, is taken over first.
        raises   Unavailable("data-unusable") when it is damaged, of a newer version, not ours, or
                 missing beside apps: with an empty one in its place nobody would find their app;
                 ("overloaded") when there is no room, or another process has it open
        """
        try:
            earlier = await asyncio.to_thread(engines.find_earlier_platform)
            if earlier is not None:
                await _take_over(earlier, engines, runtime=runtime)
            is_new = not engines.has_any()
            return cls(await _open_database(engines, PLATFORM, runtime=runtime, is_new=is_new))
        except Unavailable as failure:
            problem = f"{engines.place(PLATFORM)}, the list of all apps, cannot be used."
            problem += f" {failure.message}"
            if failure.code == "data-unusable":
                problem += (
                    " To do so, stop the server and put back the whole data directory, files that"
                    " end in -wal included."
                )
            raise Unavailable(failure.code, problem) from failure

    async def insert(self, row: AppRow, *, sample: str | None = None) -> None:
        """Add an app; its id must be new.

        sample   name of the sample that the app is for
        """
        fields = {
            "title": _json_text(row.title),
            "adminTokenHash": row.admin_token_hash.hex(),
            "isOpen": row.is_open,
            "rules": _rules_text(row.rules),
            "settings": _settings_text(row.settings),
            "createdAt": row.created_ms,
            "expiresAt": row.expires_ms,
            "sample": sample,
        }
        step = ["create", _APPS, row.id, _present(fields)]
        await self._database.change(lambda change: change.write(step))

    async def set_rules(self, app_id: AppId, rules: Any) -> None:
        """Replace an app's rules document; None: no rules."""
        text = _rules_text(rules)
        await self._change(app_id, lambda row: {"rules": text})

    async def set_token(self, app_id: AppId, token: str) -> None:
        """Replace an app's admin token."""
        token_hash = hash_token(token).hex()
        await self._change(app_id, lambda row: {"adminTokenHash": token_hash})

    async def change_settings(
        self, app_id: AppId, change: Callable[[Settings], Settings]
    ) -> Settings:
        """Change an app's settings. No other change of them happens meanwhile.

        change   if it raises, the settings stay as they are
        """

        def changed(row: FoundRow) -> dict[str, Any]:
            return {"settings": _settings_text(change(_settings(row)))}

        return _settings(await self._change(app_id, changed))

    async def end(self, app_id: AppId) -> None:
        """Let the app expire now, so that it is not found any more. Its row stays until `delete`,
        so that the next sweep completes a deletion that a stop interrupted."""

        def work(change: Change) -> None:
            row = find_row(change, _APPS, "id", _key(app_id))
            if row is not None:
                change.write(["update", _APPS, app_id, {"expiresAt": 0}])

        await self._database.change(work)

    async def delete(self, app_id: AppId) -> None:
        """Forget an app; unknown ones are no error."""

        def work(change: Change) -> None:
            if find_row(change, _APPS, "id", _key(app_id)) is not None:
                change.write(["delete", _APPS, app_id])

        await self._database.change(work)

    def find(self, app_id: AppId) -> AppRow | None:
        """The app with this id. Costs 0.2 µs if it was looked up lately."""
        kept = self._rows.get(app_id)
        if kept is not None:
            self._rows.move_to_end(app_id)
            return kept[0]
        found = self._find("id", find_uuid_bytes(app_id))
        return None if found is None else self._keep(found)

    def has_token(self, token: str) -> bool:
        """Whether a uuid is the admin token of some app."""
        return self._find("adminTokenHash", hash_token(token).hex()) is not None

    def find_sample(self, name: str) -> AppId | None:
        """The app of a sample."""
        found = self._find("sample", name)
        return None if found is None else AppId(found.fields["id"])

    async def expired(self, now_ms: int) -> list[AppId]:
        """Expired apps: at most limits.APPS_EXPIRED_PER_SWEEP of them."""
        options = {
            "where": {"expiresAt": {"$lte": now_ms}},
            "limit": limits.APPS_EXPIRED_PER_SWEEP,
            "fields": ["id"],
        }
        found = await self._database.look(lambda look: look.find({_APPS: {"$": options}}))
        return [AppId(row["id"]) for row in found[_APPS]]

    async def close(self) -> None:
        """Finish changes that have begun, and close the database."""
        await self._database.close()

    def _find(self, label: str, value: str | bytes | None) -> FoundRow | None:
        def work(look: Look) -> FoundRow | None:
            return find_row(look, _APPS, label, value)

        return None if value is None else self._database.look_now(work)

    async def _change(
        self, app_id: AppId, fields: Callable[[FoundRow], dict[str, Any]]
    ) -> FoundRow:
        """Write the fields that `fields` makes from an app's row; return the row with them."""

        def work(change: Change) -> FoundRow:
            row = find_row(change, _APPS, "id", _key(app_id))
            if row is None:
                raise unknown_app(app_id)
            changed = fields(row)
            change.write(["update", _APPS, app_id, changed])
            return FoundRow({**row.fields, **changed}, row.created_ms)

        return await self._database.change(work)

    def _keep(self, found: FoundRow) -> AppRow:
        fields = found.fields
        rules = fields.get("rules")
        row = AppRow(
            AppId(fields["id"]),
            msgspec.json.decode(fields["title"], type=str),
            bytes.fromhex(fields["adminTokenHash"]),
            fields["isOpen"],
            None if rules is None else orjson.loads(rules),
            fields["createdAt"],
            fields.get("expiresAt"),
            _settings(found),
        )
        size = len(rules or "") + len(fields.get("settings") or "")
        self._rows[row.id] = (row, size)
        self._rows_bytes += size
        while (
            len(self._rows) > limits.APP_ROWS_KEPT
            or self._rows_bytes > limits.APP_ROWS_KEPT_BYTES_MAX
        ):
            self._forget(next(iter(self._rows)))
        return row

    def _forget_changed(self, commits: Sequence[Commit]) -> None:
        for commit in commits:
            for change in commit.entities:
                self._forget(AppId(uuid_text(change.id)))

    def _forget(self, app_id: AppId) -> None:
        kept = self._rows.pop(app_id, None)
        if kept is not None:
            self._rows_bytes -= kept[1]


async def _open_database(
    engines: Engines, name: AppId, *, runtime: Runtime, is_new: bool
) -> Database:
    return await Database.open(
        partial(engines.open, name, is_new=is_new),
        runtime=runtime,
        rules=Rules.parse(None),
        app_id=name,
        attrs=platform_attrs(),
    )


async def _take_over(earlier: EarlierPlatform, engines: Engines, *, runtime: Runtime) -> None:
    """Write the apps of an earlier version's list to a new database, and put that in its place."""
    engines.delete(NEW_PLATFORM)  # the rest of a try that was interrupted
    database = await _open_database(engines, NEW_PLATFORM, runtime=runtime, is_new=True)
    try:
        after = ""
        while apps := await asyncio.to_thread(
            earlier.apps, after=after, count=limits.PLATFORM_IMPORT_APPS
        ):
            steps = [
                ["create", _APPS, fields["id"], {**_present(fields), "title": _json_text(title)}]
                for fields in apps
                for title in (fields["title"],)
            ]
            await database.change(partial(_write, steps))
            after = apps[-1]["id"]
    finally:
        await database.close()
    await asyncio.to_thread(earlier.replace)


def _write(steps: list[Any], change: Change) -> None:
    change.write(*steps)


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields that an entity has, without its id."""
    return {label: value for label, value in fields.items() if value is not None and label != "id"}


def _key(app_id: AppId) -> bytes:
    found = find_uuid_bytes(app_id)
    assert found is not None, "an app has a uuid"
    return found


def _json_text(text: str) -> str:
    return orjson.dumps(text).decode()


def _rules_text(rules: Any) -> str | None:
    return None if rules is None else orjson.dumps(rules).decode()


def _settings_text(settings: Settings) -> str:
    return msgspec.json.encode(settings).decode()


def _settings(row: FoundRow) -> Settings:
    text = row.fields.get("settings")
    return Settings() if text is None else msgspec.json.decode(text, type=Settings)
