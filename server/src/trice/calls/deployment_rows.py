"""Deployments and secrets as rows of the platform's database.

    $appCode       app, state: which deployment is in force, secrets (JSON of `CodeState`)
    $deployments   key `<app>/<number, 8 digits>`, state (JSON of `Deployment`)

They are written in the transaction that puts the rules of a deployment in force.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, TypeVar

import msgspec

from trice import function_limits as limits
from trice.calls.bundles import is_hash
from trice.database import Database, Look
from trice.protocol.ids import AppId
from trice.runtime import Runtime, new_key
from trice.system_rows import find_row

T = TypeVar("T")

CODE: Final = "$appCode"
DEPLOYMENTS: Final = "$deployments"

_KEY: Final = re.compile(r"([0-9a-f-]{36})/[0-9]+", re.ASCII)


class Secret(msgspec.Struct, frozen=True):
    """A secret, sealed with the server's key for `<app>/<name>`; `size_bytes` of it as UTF-8."""

    sealed: str
    size_bytes: int
    updated_ms: int


class CodeState(msgspec.Struct, frozen=True):
    """What is in force in one app.

    current   number of the deployment; None: none is
    bundle, memory_mb   of that deployment
    newest    number that was given last; they are never given twice
    version   of `AppCode`
    """

    current: int | None = None
    bundle: str | None = None
    memory_mb: int | None = None
    newest: int = 0
    version: int = 0
    secrets: dict[str, Secret] = {}


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """One deployment, which can be gone back to.

    functions   how many it has
    required    names of secrets that it needs
    """

    number: int
    bundle: str
    created_ms: int
    size_bytes: int
    functions: int
    required: tuple[str, ...] = ()
    memory_mb: int | None = None


class DeploymentRows:
    """Reads rows, and makes the steps that write them. Holds the database, and ids of rows of
    `$appCode`.

    Every method may raise Unavailable("overloaded").
    """

    def __init__(self, database: Database, *, runtime: Runtime) -> None:
        self._database = database
        self._runtime = runtime

    async def load(self) -> list[tuple[AppId, CodeState]]:
        """What is in force in each app."""
        found: list[tuple[AppId, CodeState]] = []
        after = ""
        while some := await self._page(CODE, "app", after, "~", count=limits.CODE_ROWS_READ):
            found += [(AppId(row["app"]), _decode(row["state"], CodeState)) for row in some]
            after = some[-1]["app"]
        return found

    async def find_state(self, app_id: AppId) -> CodeState | None:
        """What is in force in an app; None: nothing was ever deployed there, and no secret set."""
        row = await self._database.look(lambda look: find_row(look, CODE, "app", app_id))
        return None if row is None else _decode(row.fields["state"], CodeState)

    async def deployments(self, app_id: AppId) -> list[Deployment]:
        """The deployments of an app that are kept, newest first."""
        rows = await self._page(
            *(DEPLOYMENTS, "key", f"{app_id}/", f"{app_id}0"), count=limits.DEPLOYMENTS_KEPT + 1
        )
        return [_decode(row["state"], Deployment) for row in reversed(rows)]

    def put_state(self, app_id: AppId, state: CodeState) -> list[Any]:
        """The step that makes `state` what is in force."""
        row = self._database.look_now(lambda look: find_row(look, CODE, "app", app_id))
        row_id = new_key(self._runtime) if row is None else row.fields["id"]
        fields = {"app": app_id, "state": _encode(state)}
        return ["update" if row is not None else "create", CODE, row_id, fields]

    def put_deployment(self, app_id: AppId, deployment: Deployment) -> list[Any]:
        """The step that adds a deployment."""
        fields = {"key": _key(app_id, deployment.number), "state": _encode(deployment)}
        return ["create", DEPLOYMENTS, new_key(self._runtime), fields]

    def delete_deployment(self, app_id: AppId, number: int) -> list[Any]:
        """The step that removes a deployment."""

        def find(look: Look) -> str:
            row = find_row(look, DEPLOYMENTS, "key", _key(app_id, number))
            assert row is not None, "it was listed in the same turn of its app"
            row_id: str = row.fields["id"]
            return row_id

        return ["delete", DEPLOYMENTS, self._database.look_now(find)]

    async def write(self, steps: list[Any]) -> None:
        """Carry out steps in one durable transaction."""
        await self._database.change(lambda change: change.write(*steps))

    async def forget(self, app_id: AppId) -> None:
        """Remove all rows of an app."""
        steps = [
            self.delete_deployment(app_id, each.number) for each in await self.deployments(app_id)
        ]
        row = self._database.look_now(lambda look: find_row(look, CODE, "app", app_id))
        if row is not None:
            steps.append(["delete", CODE, row.fields["id"]])
        if steps:
            await self.write(steps)

    async def _page(
        self, etype: str, label: str, after: str, before: str, *, count: int
    ) -> list[dict[str, Any]]:
        options = {
            "where": {"and": [{label: {"$gt": after}}, {label: {"$lt": before}}]},
            "order": {label: "asc"},
            "limit": count,
        }
        found = await self._database.look(lambda look: look.find({etype: {"$": options}}))
        rows: list[dict[str, Any]] = found[etype]
        return rows


def named_bundle(texts: Iterable[str]) -> tuple[AppId, str] | None:
    """The app and the bundle that a row of `$deployments` names; None for texts of no such row.

    texts   its key and its state, in any order
    """
    app_id, bundle = None, None
    for text in texts:
        if found := _KEY.fullmatch(text):
            app_id = AppId(found[1])
        else:
            try:
                bundle = _decode(text, Deployment).bundle
            except msgspec.MsgspecError:
                return None
    return None if app_id is None or bundle is None or not is_hash(bundle) else (app_id, bundle)


def _key(app_id: AppId, number: int) -> str:
    return f"{app_id}/{number:08}"


def _encode(value: msgspec.Struct) -> str:
    return msgspec.json.encode(value).decode()


def _decode(text: str, kind: type[T]) -> T:
    return msgspec.json.decode(text, type=kind)
