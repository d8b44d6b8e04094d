"""What is deployed in each app: bundles checked, put in force, gone back from; secrets.

    take ──> the report of what would change ──> (the caller changes the schema) ──> deploy

`deploy` writes one transaction: the deployment, what is in force, the rules of the app. Then the
new code is in force at once, and whoever listens is told.

It is one file because each change of what is in force takes the same lock and the same steps.

source   spec/functions.md FN267-FN289
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar
from weakref import WeakValueDictionary

import msgspec

from trice import function_limits as limits
from trice.apps.app import Beside
from trice.apps.apps import App, Apps
from trice.auth.oauth.sealed import Seal
from trice.background import Background
from trice.calls.app_secrets import changed_secrets, masked
from trice.calls.bundle_store import BundleStore
from trice.calls.bundles import Bundle, is_hash, read_bundle
from trice.calls.deployment_rows import CodeState, Deployment, DeploymentRows, Secret
from trice.calls.packages import Packages
from trice.calls.report import Report, Unfit, check_fits, gone_names, load_refusal, make_report
from trice.calls.side import AppCode
from trice.errors import (
    Conflict,
    InvalidInput,
    PermissionDenied,
    TriceError,
    Unavailable,
    invalid,
    no_record,
)
from trice.functions.frames import Broken, Ready
from trice.functions.signature import Signature
from trice.identity import SERVER, TurnKey
from trice.log import fields
from trice.protocol.ids import AppId
from trice.runtime import Runtime

logger: Final = logging.getLogger("trice.deployments")

T = TypeVar("T")
OnSwitch = Callable[[AppId, AppCode | None], None]
Prepare = Callable[[App, Sequence[Signature]], Awaitable[None]]
FindUnfit = Callable[[App, Sequence[Signature]], Awaitable[Sequence[Unfit]]]

_TAKEN_KEPT: Final = 4
"""Bundles of an app that were taken and not deployed, which a deploy may still name."""


class Checker(Protocol):
    """Loads a bundle in a worker that runs nothing else (`side.RunsCalls`)."""

    async def check(
        self, path: str, env: dict[str, str], packages: Path | None = None
    ) -> Ready | Broken:
        """Load a bundle, and tell what is in it. packages   folder of what it may import"""
        ...


async def _nothing(app: App, functions: Sequence[Signature]) -> None:
    return


async def _none_unfit(app: App, functions: Sequence[Signature]) -> Sequence[Unfit]:
    return ()


class Deployments:
    """Holds what is in force in each app, from its rows; the signatures of what was called lately.

    checker      loads bundles
    find_unfit   finds work that waits and that other functions could not do: whoever keeps work
                 sets it
    prepare      called before functions are in force that were checked: whoever has something to
                 note of what is committed from then on sets it
    """

    def __init__(
        self,
        apps: Apps,
        *,
        folder: Path,
        seal: Seal,
        checker: Checker,
        runtime: Runtime,
        who: str = "owners",
        admins: Collection[str] = (),
        packages: Packages | None = None,
    ) -> None:
        """
        folder     where bundles are kept, below the data directory
        who        may deploy: the setting `functions`
        admins     e-mail addresses of the accounts that may, where only they may
        packages   where code finds what it imports; None: on the server
        """
        self._who = who
        self._admins = frozenset(admins)
        self._packages = packages or Packages(is_locked=False, runtime=runtime)
        self.find_unfit: FindUnfit = _none_unfit
        self.prepare: Prepare = _nothing
        self._apps = apps
        self._seal = seal
        self.checker = checker
        self._runtime = runtime
        self._rows = DeploymentRows(apps.platform, runtime=runtime)
        self._store = BundleStore(folder)
        self._states: dict[AppId, CodeState] = {}
        self._codes: dict[AppId, AppCode] = {}
        self._signatures: dict[AppId, Mapping[str, Signature]] = {}
        self._taken: dict[AppId, list[str]] = {}
        self._listeners: list[OnSwitch] = []
        self._locks: WeakValueDictionary[AppId, asyncio.Lock] = WeakValueDictionary()
        self._changes: set[asyncio.Task[Any]] = set()
        self._installs: set[asyncio.Task[None]] = set()

    async def load(self) -> None:
        """Read what is in force. Code that is not unpacked any more is unpacked again."""
        self._states = dict(await self._rows.load())
        for app_id, state in self._states.items():
            if state.bundle is not None and not self._store.code_of(app_id, state.bundle).exists():
                found = await asyncio.to_thread(self._store.find, app_id, state.bundle)
                if found is None:
                    logger.error("bundle not found %s", fields(app=app_id, bundle=state.bundle))
            if state.bundle is not None:
                self._begin_packages(app_id, state.bundle)

    def _begin_packages(self, app_id: AppId, bundle_hash: str) -> None:
        """Install what code in force needs and this server, one that was restored, has not yet."""
        place = self._packages_of(app_id, bundle_hash)
        if place is None or place.is_dir():
            return

        async def install() -> None:
            try:
                await self._install(app_id, self._store.code_of(app_id, bundle_hash))
            except TriceError as failure:
                logger.error("no packages %s", fields(app=app_id, reason=failure.message))

        task = asyncio.get_running_loop().create_task(install())
        self._installs.add(task)
        task.add_done_callback(self._installs.discard)

    def start(self, background: Background) -> None:
        """Begin to remove what was kept of deleted apps."""
        interval_ms = limits.DEPLOYMENT_SWEEP_INTERVAL_MS
        background.every("deployments", interval_ms, lambda _: self.sweep())

    async def close(self) -> None:
        """Finish changes that have begun. Packages that are being installed are not."""
        for task in self._installs:
            task.cancel()
        await asyncio.gather(*self._changes, return_exceptions=True)

    def on_switch(self, listener: OnSwitch) -> None:
        """Call `listener` in the turn of the loop in which other code, or other secrets, are in
        force; with None when the app is gone. It must not raise."""
        self._listeners.append(listener)

    # --- what is in force -----------------------------------------------------------------------

    def current(self, app_id: AppId) -> AppCode | None:
        """The code in force; None: nothing is deployed. Costs a look into a dict."""
        code = self._codes.get(app_id)
        if code is None:
            state = self._states.get(app_id)
            if state is None or state.bundle is None:
                return None
            self._codes[app_id] = code = self._code(app_id, state)
        return code

    def apps(self) -> Sequence[AppId]:
        """The apps that have functions."""
        return [app_id for app_id, state in self._states.items() if state.bundle is not None]

    def signatures(self, app_id: AppId) -> Mapping[str, Signature]:
        """The functions in force, by each name they are called by; `also` names too. The first call
        after a switch reads a file: 1 ms for 200 functions."""
        known = self._signatures.get(app_id)
        if known is None:
            state = self._states.get(app_id)
            ready = None
            if state is not None and state.bundle is not None:
                ready = self._store.find_ready(app_id, state.bundle)
            self._signatures[app_id] = known = _by_name(() if ready is None else ready.functions)
        return known

    async def listed(self, app: App) -> tuple[int | None, list[Deployment]]:
        """The number that is in force, and the deployments that are kept, newest first."""
        return self._state(app.id).current, await self._rows.deployments(app.id)

    def mask(self, app_id: AppId, text: str) -> str:
        """A text without the secrets in force; see `app_secrets.masked`."""
        code = self.current(app_id)
        return text if code is None or not code.env else masked(text, code.env.values())

    # --- deploys --------------------------------------------------------------------------------

    async def take(
        self, app: App, raw: bytes, *, by: str | None = None, turn_key: TurnKey = SERVER
    ) -> Report:
        """Check a bundle in a fresh worker, and tell what its deploy would change. Nothing is.

        by       e-mail address of the account that asks; None: the app's admin token does
        raises   InvalidInput for a bundle that is none, for faults of its code or rules (with file
                 and line); LimitExceeded, PermissionDenied, Unavailable
        """
        self._check_may_deploy(app, by)
        bundle = await asyncio.to_thread(read_bundle, raw)
        rules = bundle.manifest.rules
        warnings: Sequence[Any] = ()
        if rules is not None:
            compiled = await self._apps.compile_rules(
                rules or None, is_open=app.row.is_open, turn_key=turn_key
            )
            warnings = await self._apps.warnings(app, compiled, turn_key=turn_key)
        async with self._lock_of(app.id):  # so that nobody who tidies up meets half of it
            path = await self._on_disk(self._store.put, app.id, bundle)
            self._note_taken(app.id, bundle)
        packages = await self._install(app.id, path)
        ready = await self.checker.check(str(path), self._env(app.id), packages)
        lacking = await asyncio.to_thread(self._packages.lacking, path)
        if isinstance(ready, Broken):
            raise load_refusal(ready.errors, lacking)
        _check_count(ready)
        await self._on_disk(self._store.confirm, app.id, bundle.hash, ready)
        state = self._state(app.id)
        return make_report(
            bundle,
            ready.functions,
            before=self.signatures(app.id),
            is_current=bundle.hash == state.bundle,
            secrets=state.secrets,
            unfit=await self.find_unfit(app, ready.functions),
            warnings=warnings,
            lacking=lacking,
        )

    async def deploy(
        self,
        app: App,
        bundle_hash: Any,
        *,
        is_forced: bool = False,
        by: str | None = None,
        turn_key: TurnKey = SERVER,
    ) -> Deployment:
        """Put a bundle in force that was taken, with its rules.

        bundle_hash   of `take`; decoded JSON
        is_forced     although work waits that it cannot do
        by            as in `take`
        raises        NotFound for a bundle that was not taken, InvalidInput without a secret that
                      it needs, Conflict for work that waits, Unavailable
        """
        self._check_may_deploy(app, by)
        return await self._whole(self._deploy(app, bundle_hash, is_forced, turn_key))

    async def _deploy(
        self, app: App, bundle_hash: Any, is_forced: bool, turn_key: TurnKey
    ) -> Deployment:
        async with self._lock_of(app.id):
            found = None
            if is_hash(bundle_hash):
                found = await self._on_disk(self._store.find, app.id, bundle_hash)
            if found is None:
                told = "It was not sent to this server, or is kept no more: send it again."
                raise no_record("bundle", told, {"bundle": str(bundle_hash)[:64]})
            bundle, ready = found
            state = self._state(app.id)
            self._check_secrets(bundle.manifest.required, state)
            if not is_forced:
                check_fits(await self.find_unfit(app, ready.functions))
            await self._install(app.id, self._store.code_of(app.id, bundle.hash))
            await self.prepare(app, ready.functions)
            manifest = bundle.manifest
            made = Deployment(
                number=state.newest + 1,
                bundle=bundle.hash,
                created_ms=self._runtime.now_ms(),
                size_bytes=len(bundle.raw),
                functions=len(ready.functions),
                required=manifest.required,
                memory_mb=manifest.memory_mb,
            )
            await self._switch(app, made, bundle, is_new=True, turn_key=turn_key)
            return made

    async def roll_back(
        self,
        app: App,
        to: int | None = None,
        *,
        is_forced: bool = False,
        by: str | None = None,
        turn_key: TurnKey = SERVER,
    ) -> Deployment:
        """Put an earlier deployment in force again: its code and its rules; data stays.

        to       its number; None: the one before what is in force
        raises   NotFound; Conflict when its schema has attrs that the app has no more, or as
                 `deploy`
        """
        self._check_may_deploy(app, by)
        return await self._whole(self._roll_back(app, to, is_forced, turn_key))

    async def _roll_back(
        self, app: App, to: int | None, is_forced: bool, turn_key: TurnKey
    ) -> Deployment:
        async with self._lock_of(app.id):
            state = self._state(app.id)
            wanted = _earlier(await self._rows.deployments(app.id), state.current, to)
            found = await self._on_disk(self._store.find, app.id, wanted.bundle)
            if found is None:
                told = "The bundle of this deployment is gone: deploy its code again."
                raise no_record("bundle", told, {"bundle": wanted.bundle})
            bundle, ready = found
            gone = gone_names(bundle.manifest.schema, app.database.catalog)
            if gone:
                raise Conflict(
                    "deploy-blocked",
                    f"Deployment {wanted.number} names what the app has no more:"
                    f" {', '.join(gone[:10])}. `trice schema restore` brings back what was deleted"
                    " lately.",
                    {"gone": gone[:100]},
                )
            self._check_secrets(wanted.required, state)
            if not is_forced:
                check_fits(await self.find_unfit(app, ready.functions))
            await self._install(app.id, self._store.code_of(app.id, wanted.bundle))
            await self.prepare(app, ready.functions)
            await self._switch(app, wanted, bundle, is_new=False, turn_key=turn_key)
            return wanted

    async def _switch(
        self, app: App, made: Deployment, bundle: Bundle, *, is_new: bool, turn_key: TurnKey
    ) -> None:
        before = self._state(app.id)
        state = _with(
            before,
            current=made.number,
            bundle=made.bundle,
            memory_mb=made.memory_mb,
            newest=max(before.newest, made.number),
            version=before.version + 1,
        )
        steps: list[Any] = [self._rows.put_state(app.id, state)]
        kept = await self._rows.deployments(app.id)
        if is_new:
            steps.append(self._rows.put_deployment(app.id, made))
            kept.insert(0, made)
            for old in kept[limits.DEPLOYMENTS_KEPT :]:
                if old.number != made.number:
                    steps.append(self._rows.delete_deployment(app.id, old.number))
            kept = kept[: limits.DEPLOYMENTS_KEPT]
        await self._put(app, state, steps, rules=bundle.manifest.rules, turn_key=turn_key)
        logger.info("deployed %s", fields(app=app.id, number=made.number, bundle=made.bundle[:12]))
        hashes = {each.bundle for each in kept} | {*self._taken.get(app.id, ())}
        try:
            await asyncio.to_thread(self._store.keep_only, app.id, hashes)
            codes = [self._store.code_of(app.id, each) for each in hashes]
            folder = self._store.folder_of(app.id)
            await asyncio.to_thread(self._packages.keep_only, folder, codes)
        except OSError as failure:  # it is in force; the next deploy tidies up
            logger.warning("old bundles stay %s", fields(app=app.id, reason=str(failure)))

    async def _put(
        self, app: App, state: CodeState, steps: list[Any], *, rules: Any, turn_key: TurnKey
    ) -> None:
        """Write one transaction, and have it in force."""

        def done() -> None:
            self._put_in_force(app.id, state)

        if rules is not None:
            beside = Beside(steps, done)
            await self._apps.set_rules(app.id, rules, turn_key=turn_key, beside=beside)
        else:
            await self._rows.write(steps)
            done()

    def _put_in_force(self, app_id: AppId, state: CodeState | None) -> None:
        self._codes.pop(app_id, None)
        self._signatures.pop(app_id, None)
        if state is None:
            self._states.pop(app_id, None)
        else:
            self._states[app_id] = state
        code = self.current(app_id)
        for listener in self._listeners:
            listener(app_id, code)

    # --- secrets --------------------------------------------------------------------------------

    def secrets(self, app: App) -> Mapping[str, Secret]:
        """The secrets of an app by name, sealed."""
        return self._state(app.id).secrets

    async def change_secrets(
        self, app: App, put: Any, removed: Any, *, by: str | None = None
    ) -> Mapping[str, Secret]:
        """Set and remove secrets: a new version of the app's code is in force.

        put       {name: text}, decoded JSON
        removed   [name]
        raises    InvalidInput, LimitExceeded; then nothing is changed
        """
        self._check_may_deploy(app, by)
        return await self._whole(self._change_secrets(app, put, removed))

    async def _change_secrets(self, app: App, put: Any, removed: Any) -> Mapping[str, Secret]:
        async with self._lock_of(app.id):
            before = self._state(app.id)
            required = next(
                (
                    each.required
                    for each in await self._rows.deployments(app.id)
                    if each.number == before.current
                ),
                (),
            )
            secrets = changed_secrets(
                before.secrets,
                put,
                removed,
                required=required,
                seal=lambda name, text: self._seal.seal(text, holder=f"{app.id}/{name}"),
                now_ms=self._runtime.now_ms(),
            )
            state = _with(before, secrets=secrets, version=before.version + 1)
            steps = [self._rows.put_state(app.id, state)]
            await self._put(app, state, steps, rules=None, turn_key=SERVER)
            return secrets

    def _check_secrets(self, required: Sequence[str], state: CodeState) -> None:
        missing = [name for name in required if name not in state.secrets]
        if missing:
            told = f"Secrets that it needs are not set: {', '.join(missing)}. Set them with"
            told += f" `trice env set {missing[0]}`."
            raise invalid("bundle", None, [{"message": told, "in": ["env", "required"]}])

    def _env(self, app_id: AppId) -> dict[str, str]:
        """The secrets, opened. One that this server's key does not open is left out, and told."""
        opened = {}
        for name, secret in self._state(app_id).secrets.items():
            try:
                opened[name] = self._seal.open(secret.sealed, holder=f"{app_id}/{name}")
            except PermissionDenied:
                logger.error("secret cannot be opened %s", fields(app=app_id, name=name))
        return opened

    # --- apps that are gone ---------------------------------------------------------------------

    async def sweep(self) -> None:
        """Remove what is kept of apps that are deleted for good."""
        on_disk = await asyncio.to_thread(self._store.apps)
        for app_id in {*self._states, *on_disk}:
            if not self._apps.has(app_id):
                await self._rows.forget(app_id)
                self._put_in_force(app_id, None)
                await asyncio.to_thread(self._store.forget, app_id)

    def _check_may_deploy(self, app: App, by: str | None) -> None:
        """raises   Unavailable, PermissionDenied"""
        if self._who == "off":
            raise Unavailable("functions-off", "Functions are switched off on this server.")
        if app.is_ephemeral:
            told = "A throw-away app runs no functions: anybody may make one."
            raise PermissionDenied("permission-denied", f"{told} Make an app that stays.")
        if self._who == "admins" and (by is None or by.lower() not in self._admins):
            who = "the admin token of an app proves no account" if by is None else f"not {by}"
            told = "Only accounts that the operator names (TRICE_FUNCTIONS_ADMINS) may deploy here"
            raise PermissionDenied("permission-denied", f"{told}: {who}.")

    # --- parts ----------------------------------------------------------------------------------

    def _state(self, app_id: AppId) -> CodeState:
        return self._states.get(app_id) or CodeState()

    def _code(self, app_id: AppId, state: CodeState) -> AppCode:
        assert state.bundle is not None
        return AppCode(
            app_id=app_id,
            bundle_hash=state.bundle,
            path=self._store.code_of(app_id, state.bundle),
            env=self._env(app_id),
            version=state.version,
            memory_mb=state.memory_mb,
            packages=self._packages_of(app_id, state.bundle),
        )

    def _packages_of(self, app_id: AppId, bundle_hash: str) -> Path | None:
        code = self._store.code_of(app_id, bundle_hash)
        return self._packages.find(self._store.folder_of(app_id), code)

    async def _install(self, app_id: AppId, code: Path) -> Path | None:
        """Have the packages of unpacked code. raises   InvalidInput, Unavailable"""
        try:
            return await self._packages.ensure(self._store.folder_of(app_id), code)
        except OSError as cause:
            told = f"The server's disk does not take the packages: {cause.strerror}. Try again."
            raise Unavailable("overloaded", told) from cause

    def _note_taken(self, app_id: AppId, bundle: Bundle) -> None:
        taken = self._taken.setdefault(app_id, [])
        if bundle.hash in taken:
            taken.remove(bundle.hash)
        taken.append(bundle.hash)
        del taken[:-_TAKEN_KEPT]

    def _lock_of(self, app_id: AppId) -> asyncio.Lock:
        lock = self._locks.get(app_id)
        if lock is None:
            self._locks[app_id] = lock = asyncio.Lock()
        return lock

    async def _on_disk(self, work: Callable[..., T], *args: Any) -> T:
        try:
            return await asyncio.to_thread(work, *args)
        except OSError as cause:
            told = f"The server's disk does not take the bundle: {cause.strerror}. Try again."
            raise Unavailable("overloaded", told) from cause

    async def _whole(self, change: Coroutine[Any, Any, T]) -> T:
        """Complete a change even if its caller leaves meanwhile, so that what is in force is what
        is on disk."""
        task = asyncio.get_running_loop().create_task(change)
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        return await asyncio.shield(task)


def _with(state: CodeState, **changed: Any) -> CodeState:
    """`state` with some fields changed."""
    made: CodeState = msgspec.structs.replace(state, **changed)
    return made


def _by_name(functions: Sequence[Signature]) -> Mapping[str, Signature]:
    named = {name: each for each in functions for name in each.also}
    return {**named, **{each.name: each for each in functions}}


def _check_count(ready: Ready) -> None:
    most = limits.FUNCTIONS_MAX
    if len(ready.functions) > most:
        told = f"It has {len(ready.functions):,} functions; {most:,} are accepted."
        raise invalid("bundle", None, [{"message": told}])


def _earlier(kept: Sequence[Deployment], current: int | None, to: int | None) -> Deployment:
    """raises   NotFound, InvalidInput"""
    if to is not None:
        wanted = next((each for each in kept if each.number == to), None)
    else:
        wanted = next((each for each in kept if each.number < (current or 0)), None)
    if wanted is None:
        told = "There is no deployment to go back to."
        told = told if to is None else f"There is no deployment {to}, or it is kept no more."
        raise no_record("deployment", told, {"number": to})
    if wanted.number == current:
        raise InvalidInput("param-malformed", f"Deployment {to} is in force already.")
    return wanted
