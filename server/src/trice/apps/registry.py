"""The platform's own database: which apps exist, the hashes of their tokens, when they end.

It is a database like that of an app, with namespaces of its own (`catalog.platform`). Only this
process writes it. A row that is not kept decoded is read by its key, on the loop: 10 µs, however
many apps there are. A little over 500 lines, one file because each method is one change of `$apps`.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

import msgspec
import orjson

from trice import account_limits, limits
from trice.apps import quotas
from trice.apps.quotas import Quotas
from trice.apps.settings import Settings
from trice.catalog.platform import platform_attrs
from trice.database import Change, Database, Look
from trice.errors import LimitExceeded, NotFound, Unavailable, no_record
from trice.protocol.ids import AppId, find_uuid_bytes, uuid_text
from trice.rules.document import Rules
from trice.runtime import Runtime
from trice.store.commit import Commit
from trice.store.engines import NEW_PLATFORM, PLATFORM, EarlierPlatform, Engines
from trice.store.loading import Loading
from trice.system_rows import FoundRow, find_row

_APPS: Final = "$apps"
_HOLDERS: Final = {"owner": ("$accounts", "instant-user"), "org": ("$orgs", "org")}


@dataclass(frozen=True, slots=True)
class AppRow:
    """One app as the platform knows it.

    is_open     whether callers may do what no rule speaks about
    rules       the rules document as given, or None
    expires_ms  when a throw-away app ends, or a deleted one is gone for good; None: never
    owner       id of the account it belongs to; None: of an organisation, or of nobody
    org         id of the organisation it belongs to; without an owner either, its admin token is
                all there is
    sealed_token  its admin token, sealed with the server's key, for its owner to see; or None
    deleted_ms  when its owner deleted it; it can be restored until it ends
    quotas      what the operator set for it alone
    """

    id: AppId
    title: str
    admin_token_hash: bytes
    is_open: bool
    rules: Any
    created_ms: int
    expires_ms: int | None
    settings: Settings
    owner: str | None = None
    sealed_token: str | None = None
    deleted_ms: int | None = None
    org: str | None = None
    quotas: Quotas = quotas.NONE


class _Also(msgspec.Struct):
    """What the note of an app that is put in place has besides the fields of its row: steps on what
    else is kept of it here, which may be carried out twice."""

    also: list[Any] = []


_ROWS: Final = msgspec.json.Decoder(AppRow)
_ALSO: Final = msgspec.json.Decoder(_Also)


def hash_token(token: str) -> bytes:
    """SHA-256 of a uuid token's 16 bytes; only this is stored (instant-http §0.5)."""
    return hashlib.sha256(bytes.fromhex(token.replace("-", ""))).digest()


def unknown_app(app_id: str) -> NotFound:
    """The error for an unknown or expired app."""
    told = "There is no app with this id, or its time is over."
    return no_record("app", told, {"app-id": app_id})


class Registry:
    """Holds the platform's database, and the rows of apps that were used last, decoded. Does not
    hold the databases of apps. `database` is for what else is kept there (`accounts`, `webhooks`).

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
            registry = cls(await _open_database(engines, PLATFORM, runtime=runtime, is_new=is_new))
            for app_id, note in engines.unsettled():
                await registry.put(_ROWS.decode(note), also=_ALSO.decode(note).also)
                engines.settle(app_id)
            return registry
        except Unavailable as failure:
            problem = f"{engines.place(PLATFORM)}, the list of all apps, cannot be used."
            problem += f" {failure.message}"
            if failure.code == "data-unusable":
                problem += (
                    " To do so, stop the server and put back the whole data directory, files that"
                    " end in -wal included."
                )
            raise Unavailable(failure.code, problem) from failure

    async def insert(
        self,
        row: AppRow,
        *,
        sample: str | None = None,
        also: Sequence[Any] = (),
        checks_room: bool = True,
    ) -> None:
        """Add an app; its id must be new.

        sample       name of the sample that the app is for
        also         steps of the same transaction
        checks_room  False: the app is in place already, so it is listed whatever its holder has,
                     and belongs to nobody if its holder was removed
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
            "owner": row.owner,
            "org": row.org,
            "adminTokenSealed": row.sealed_token,
            "quotas": row.quotas.text(),
        }
        step: list[Any] = ["create", _APPS, row.id, _present(fields)]

        def work(change: Change) -> None:
            for label, holder in (("owner", row.owner), ("org", row.org)):
                if holder is None:
                    continue
                if checks_room:
                    _check_room(change, label, holder)
                elif find_row(change, _HOLDERS[label][0], "id", find_uuid_bytes(holder)) is None:
                    step[3].pop(label)
            change.write(step, *also)

        await self._database.change(work)

    async def publish(self, row: AppRow, loading: Loading, *, also: Sequence[Any] = ()) -> None:
        """Put an app that was loaded in place, and list it; one that has its id is replaced. After
        a stop, or a failure of the list, the next `open` completes it.

        also    steps of the transaction that lists it, which may be carried out twice
        raises  Unavailable, OSError
        """
        note = msgspec.json.encode({**msgspec.to_builtins(row), "also": also})
        await asyncio.to_thread(loading.publish, note)
        await self.put(row, also=also)
        loading.settle()

    async def put(self, row: AppRow, *, also: Sequence[Any] = ()) -> None:
        """List an app, or change what is listed of it but its holder."""
        if self.find(row.id) is None:
            await self.insert(row, also=also, checks_room=False)
            return
        token_hash = row.admin_token_hash.hex()

        def changed(before: FoundRow) -> dict[str, Any]:
            fields = {
                "title": _json_text(row.title),
                "adminTokenHash": token_hash,
                "isOpen": row.is_open,
                "rules": _rules_text(row.rules),
                "settings": _settings_text(row.settings),
            }
            is_same = before.fields["adminTokenHash"] == token_hash
            if is_same:
                return fields
            # Its owner must not be shown a token that works no more.
            is_old = row.sealed_token == before.fields.get("adminTokenSealed")
            return {**fields, "adminTokenSealed": None if is_old else row.sealed_token}

        await self._change(row.id, changed, also=also)

    async def set_rules(self, app_id: AppId, rules: Any, *, also: Sequence[Any] = ()) -> None:
        """Replace an app's rules document; None: no rules. also   steps of the same transaction"""
        text = _rules_text(rules)
        await self._change(app_id, lambda row: {"rules": text}, also=also)

    async def set_token(self, app_id: AppId, token: str, *, sealed: str | None = None) -> None:
        """Replace an app's admin token. sealed   as `AppRow.sealed_token`"""
        token_hash = hash_token(token).hex()
        changed = {"adminTokenHash": token_hash, "adminTokenSealed": sealed}
        await self._change(app_id, lambda row: changed)

    async def set_title(self, app_id: AppId, title: str) -> None:
        """Rename an app."""
        await self._change(app_id, lambda row: {"title": _json_text(title)})

    async def set_holder(
        self,
        app_id: AppId,
        *,
        owner: str | None = None,
        org: str | None = None,
        also: Callable[[Change, str | None], None] | None = None,
    ) -> None:
        """Hand an app to an account or an organisation, by id. A throw-away app lasts from then on.

        also     is called in the transaction with the id of who it belonged to, and may refuse
        raises   LimitExceeded when that has account_limits.ACCOUNT_APPS_MAX apps; NotFound
        """
        assert (owner is None) != (org is None), "an app has one holder"

        def work(change: Change) -> None:
            row = find_row(change, _APPS, "id", _key(app_id))
            if row is None:
                raise unknown_app(app_id)
            if also is not None:
                also(change, row.fields.get("owner") or row.fields.get("org"))
            if owner is not None:
                _check_room(change, "owner", owner)
            elif org is not None:
                _check_room(change, "org", org)
            changed: dict[str, Any] = {"owner": owner, "org": org}
            if row.fields.get("deletedAt") is None:
                changed["expiresAt"] = None
            change.write(["update", _APPS, app_id, changed])

        await self._database.change(work)

    async def check_room(
        self, *, owner: str | None = None, org: str | None = None, promised: int = 0
    ) -> None:
        """Refuse one app more than an account or organisation may have.

        promised   how many it will get soon
        raises     LimitExceeded; NotFound when it was removed
        """
        label, holder = ("owner", owner) if owner is not None else ("org", org)
        assert holder is not None, "an account or an organisation"
        await self._database.look(lambda look: _check_room(look, label, holder, promised))

    async def mark_deleted(self, app_id: AppId) -> None:
        """Hide an app until `restore`, or until it ends."""

        def work(change: Change) -> None:
            row = find_row(change, _APPS, "id", _key(app_id))
            if row is None or row.fields.get("deletedAt") is not None:
                raise unknown_app(app_id)
            ends_ms = change.time_ms + account_limits.DELETED_APP_MS
            changed = {"deletedAt": change.time_ms, "expiresAt": ends_ms}
            change.write(["update", _APPS, app_id, changed])

        await self._database.change(work)

    async def restore(self, app_id: AppId) -> None:
        """Undo `mark_deleted`; raises NotFound for an app that was not deleted, or is gone."""

        def work(change: Change) -> None:
            row = find_row(change, _APPS, "id", _key(app_id))
            is_there = row is not None and row.fields.get("deletedAt") is not None
            if row is None or not is_there or (row.fields.get("expiresAt") or 0) <= change.time_ms:
                told = "No app with this id was deleted lately, so there is none to restore."
                raise no_record("app", told, {"app-id": app_id})
            change.write(["update", _APPS, app_id, {"deletedAt": None, "expiresAt": None}])

        await self._database.change(work)

    async def change_settings(
        self, app_id: AppId, change: Callable[[Settings], Settings]
    ) -> Settings:
        """Change an app's settings. No other change of them happens meanwhile.

        change   if it raises, the settings stay as they are
        """

        def changed(row: FoundRow) -> dict[str, Any]:
            return {"settings": _settings_text(change(_settings(row)))}

        return _settings(await self._change(app_id, changed))

    async def change_quotas(self, app_id: AppId, given: Any) -> Quotas:
        """Set some of an app's own quotas; returns all of them. raises   as `quotas.changed`"""

        def fields(row: FoundRow) -> dict[str, Any]:
            after = quotas.changed(quotas.load(row.fields.get("quotas")), given)
            return {"quotas": after.text()}

        row = await self._change(app_id, fields)
        return quotas.load(row.fields.get("quotas"))

    async def change_holder_quotas(
        self, label: Literal["owner", "org"], holder: str, given: Any
    ) -> Quotas:
        """Set some of the quotas that hold for each app of an account or organisation; returns all
        of them. raises   as `quotas.changed`; NotFound"""
        etype, kind = _HOLDERS[label]

        def work(change: Change) -> Quotas:
            row = find_row(change, etype, "id", find_uuid_bytes(holder))
            if row is None:
                raise no_record(kind, "It was removed meanwhile.")
            before = quotas.load(row.fields.get("quotas"))
            after = quotas.changed(before, given, names=quotas.HOLDER_QUOTAS)
            change.write(["update", etype, holder, {"quotas": after.text()}])
            return after

        return await self._database.change(work)

    def holder_quotas(self, label: Literal["owner", "org"], holder: str) -> Quotas:
        """What is set for each app of an account or organisation; 10 µs."""
        etype, _ = _HOLDERS[label]

        def work(look: Look) -> Quotas:
            row = find_row(look, etype, "id", find_uuid_bytes(holder))
            return quotas.NONE if row is None else quotas.load(row.fields.get("quotas"))

        return self._database.look_now(work)

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

    async def apps_of(self, label: Literal["owner", "org"], holder: str) -> list[AppRow]:
        """Every app of an account or organisation, oldest first, those that can be restored
        included."""
        options = {"where": {label: holder}, "fields": ["id"]}
        found = await self._database.look(lambda look: look.find({_APPS: {"$": options}}))
        there = []
        for at, entity in enumerate(found[_APPS]):
            row = self.find(AppId(entity["id"]))
            if row is not None and getattr(row, label) == holder:
                there.append(row)
            if at % account_limits.ROWS_A_TURN == 0:
                await asyncio.sleep(0)
        return sorted(there, key=lambda row: (row.created_ms, row.id))

    async def rows(self) -> list[AppRow]:
        """Every app, oldest first, those that ended or were deleted included; for commands."""
        found = await self._database.look(
            lambda look: look.find({_APPS: {"$": {"fields": ["id"]}}})
        )
        rows = (self.find(AppId(entity["id"])) for entity in found[_APPS])
        return sorted(
            (row for row in rows if row is not None), key=lambda row: (row.created_ms, row.id)
        )

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
        self,
        app_id: AppId,
        fields: Callable[[FoundRow], dict[str, Any]],
        *,
        also: Sequence[Any] = (),
    ) -> FoundRow:
        """Write the fields that `fields` makes from an app's row; return the row with them.

        also   steps of the same transaction
        """

        def work(change: Change) -> FoundRow:
            row = find_row(change, _APPS, "id", _key(app_id))
            if row is None:
                raise unknown_app(app_id)
            changed = fields(row)
            change.write(["update", _APPS, app_id, changed], *also)
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
            owner=fields.get("owner"),
            sealed_token=fields.get("adminTokenSealed"),
            deleted_ms=fields.get("deletedAt"),
            org=fields.get("org"),
            quotas=quotas.load(fields.get("quotas")),
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


def _check_room(look: Look, label: str, holder: str, promised: int = 0) -> None:
    """Refuse one app more than its holder may have, or one of a holder that was removed."""
    etype, kind = _HOLDERS[label]
    row = find_row(look, etype, "id", find_uuid_bytes(holder))
    if row is None:
        raise no_record(kind, "It was removed meanwhile.")
    most, allowed = account_limits.ACCOUNT_APPS_MAX, quotas.load(row.fields.get("quotas")).apps
    if isinstance(allowed, int) and allowed < most:
        _check_apps(look, label, holder, allowed, promised)
    offset = max(most - 1 - promised, 0)
    last = {"where": {label: holder}, "fields": ["id"], "limit": 1, "offset": offset}
    if look.find({_APPS: {"$": last}})[_APPS]:
        raise LimitExceeded(
            "parameter-limit-exceeded",
            f"There are {most:,} apps of this {label}, the most there can be. Deleted ones count"
            " until they are gone.",
        )


def _check_apps(look: Look, label: str, holder: str, most: int, promised: int) -> None:
    """Refuse one app more than the operator lets an account or organisation have."""
    options = {"where": {label: holder}, "fields": ["id"], "limit": most + 1}
    count = len(look.find({_APPS: {"$": options}})[_APPS]) + promised
    if count >= most:
        told = "account" if label == "owner" else "organisation"
        raise LimitExceeded(
            "app-quota-exceeded",
            f"This {told} has {count:,} apps, and {most:,} are the most; deleted ones count until"
            " they are gone. The operator of the server can raise it: trice accounts quota.",
            {"quota": "apps", "current": count, "limit": most},
        )


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


async def lasting_apps(platform: Database) -> list[AppId]:
    """The ids of all apps that are no throw-away apps, those that can be restored included."""
    options = {"where": {"expiresAt": {"$isNull": True}}, "fields": ["id"]}
    found = await platform.look(lambda look: look.find({_APPS: {"$": options}}))
    return sorted(AppId(row["id"]) for row in found[_APPS])
