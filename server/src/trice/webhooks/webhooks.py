"""The webhooks of all apps: defined, listed, delivered. What routes call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar
from weakref import WeakValueDictionary

import orjson

from trice import webhook_limits
from trice.apps.apps import App, Apps
from trice.background import Background
from trice.errors import InvalidInput, NotFound, TriceError, Unavailable, invalid
from trice.identity import TurnKey
from trice.log import fields
from trice.protocol.ids import AppId, TxId
from trice.runtime import Runtime, new_key
from trice.shares import ALL, Shares
from trice.store.engine import Snapshot
from trice.webhooks.delivery import Deliveries, Lane
from trice.webhooks.event import Attempt, Event, find_tx, idempotency_key, isn_of, key_of
from trice.webhooks.keys import Claim, Keys
from trice.webhooks.outbox import Hook, Outbox
from trice.webhooks.records import payload_json
from trice.webhooks.rows import Rows, WebhookRow, unknown_event, unknown_webhook
from trice.webhooks.send import Lookups, Sender, when_free
from trice.webhooks.webhook import (
    Webhook,
    check_actions,
    check_namespaces,
    check_new,
    check_reason,
    check_url,
    refused,
)

logger: Final = logging.getLogger("trice.webhooks")

T = TypeVar("T")

_USER_AGENT: Final = "InstantDB Webhook Sender"
_GONE: Final = "Endpoint returned 410 status code."


@dataclass(frozen=True, slots=True)
class EventsPage:
    """Some events of a webhook, newest first; `processing` are under way."""

    events: list[Event]
    processing: frozenset[TxId]
    has_more: bool


class Webhooks:
    """Holds every webhook in memory; their rows are what lasts. `start` begins to deliver.

    An app without webhooks costs a look into a dict for each of its commits.
    """

    def __init__(
        self,
        apps: Apps,
        *,
        make_seed: Callable[[], bytes],
        allows_private_hosts: bool,
        runtime: Runtime,
    ) -> None:
        """make_seed   makes the seed of the signing key; see `Keys`"""
        self.keys = Keys(make_seed)
        self.sender = Sender(allows_private_hosts=allows_private_hosts, runtime=runtime)
        self._apps = apps
        self._runtime = runtime
        self._rows = Rows(apps.platform, runtime=runtime)
        self._base_url = ""
        self._hooks: dict[str, dict[str, Hook]] = {}
        self._dying: dict[str, None] = {}
        self._loading: asyncio.Task[None] | None = None
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._checks = Shares()
        self._changes: set[asyncio.Task[Any]] = set()
        self.deliveries = Deliveries(self._rows, send=self._send, runtime=runtime)
        self.outbox = Outbox(apps, self._rows, self.deliveries, self._hooks, runtime=runtime)
        self.deliveries.on_room = self.outbox.note_room
        self.deliveries.on_gone = self._disable_gone
        apps.commit_listeners.append(self.outbox.hear)

    def start(self, background: Background, *, base_url: str) -> None:
        """Begin to make and deliver events.

        base_url   where receivers reach this server
        """
        self._base_url = base_url
        background.begin(self._start(background))
        background.every("webhook-sweep", webhook_limits.SWEEP_INTERVAL_MS, lambda _: self.sweep())

    async def close(self) -> None:
        """Finish changes that have begun. Deliveries end with the background work."""
        await asyncio.gather(*self._changes, return_exceptions=True)
        self.sender.close()

    # --- definitions ----------------------------------------------------------------------------

    async def all_of(self, app: App) -> list[Webhook]:
        """The webhooks of an app, newest first."""
        await self._load()
        return [hook.webhook for hook in reversed(self._hooks.get(app.id, {}).values())]

    async def create(self, app: App, given: dict[str, Any]) -> Webhook:
        """Make a webhook that hears of what the app commits from now on.

        given    {"url", "namespaces", "actions"}
        raises   InvalidInput("validation-failed"), data type "webhook" or "webhooks"
        """
        await self._load()
        url = await self._check_host(app, given.get("url"))
        now_ms = self._runtime.now_ms()
        webhook = Webhook(
            new_key(self._runtime),
            app.id,
            url,
            check_namespaces(given.get("namespaces"), app.database.catalog),
            check_actions(given.get("actions")),
            now_ms,
            now_ms,
        )
        return await self._whole(self._create(app, webhook))

    async def _create(self, app: App, webhook: Webhook) -> Webhook:
        async with self._lock_of(app.id):
            hooks = self._hooks.setdefault(app.id, {})
            self._check_room(app, webhook, is_new=True)
            check_new(webhook, [hook.webhook for hook in hooks.values()])
            position = app.database.tx
            await self._rows.insert(webhook, position=position)
            self._hold(WebhookRow(webhook, position), is_ephemeral=app.is_ephemeral)
            self.outbox.mark(app.id)
            return webhook

    async def update(self, app: App, webhook_id: str, given: dict[str, Any]) -> Webhook:
        """Change url, namespaces and actions; absent ones stay. Raises as `create`, NotFound."""
        await self._load()
        await self._get(app.id, webhook_id)
        changed: dict[str, Any] = {}
        if "url" in given:
            changed["url"] = await self._check_host(app, given["url"])
        if "namespaces" in given:
            changed["namespaces"] = check_namespaces(given["namespaces"], app.database.catalog)
        if "actions" in given:
            changed["actions"] = check_actions(given["actions"])
        return await self._change(app, webhook_id, lambda webhook: replace(webhook, **changed))

    async def disable(self, app: App, webhook_id: str, given: dict[str, Any]) -> Webhook:
        """Let a webhook hear of nothing; its unfinished events fail."""
        reason = check_reason(given)
        changed = await self._change(
            app,
            webhook_id,
            lambda webhook: replace(webhook, status="disabled", disabled_reason=reason),
        )
        self.deliveries.hasten_all(webhook_id)
        return changed

    async def enable(self, app: App, webhook_id: str) -> Webhook:
        """Let a disabled webhook hear of what is committed from now on."""
        return await self._change(
            app, webhook_id, lambda webhook: replace(webhook, status="active", disabled_reason=None)
        )

    async def delete(self, app: App, webhook_id: str) -> Webhook:
        """Delete a webhook; return it as it was. Its events are deleted after that."""
        await self._get(app.id, webhook_id)
        return await self._whole(self._delete(app.id, webhook_id))

    async def _change(
        self, app: App, webhook_id: str, change: Callable[[Webhook], Webhook]
    ) -> Webhook:
        await self._get(app.id, webhook_id)
        return await self._whole(self._replace(app, webhook_id, change))

    async def _replace(
        self, app: App, webhook_id: str, change: Callable[[Webhook], Webhook]
    ) -> Webhook:
        async with self._lock_of(app.id):
            hook = await self._get(app.id, webhook_id)
            old = hook.webhook
            changed = change(old)
            if changed == old:
                return old
            changed = replace(changed, updated_ms=self._runtime.now_ms())
            if changed.is_active:
                others = [each.webhook for each in self._hooks[app.id].values()]
                check_new(changed, others)
                if not old.is_active:
                    self._check_room(app, changed, is_new=False)
            position = app.database.tx if changed.is_active and not old.is_active else None
            await self._rows.update(changed, position=position)
            hook.webhook = changed
            if position is not None:
                hook.position = hook.saved = position
                self.outbox.mark(app.id)
            return changed

    async def _delete(self, app_id: str, webhook_id: str) -> Webhook:
        async with self._lock_of(app_id):
            hook = await self._get(app_id, webhook_id)
            await self._rows.update(replace(hook.webhook, status="deleted"))
            self._forget(app_id, webhook_id)
            self._dying[webhook_id] = None
            return hook.webhook

    def _check_room(self, app: App, webhook: Webhook, *, is_new: bool) -> None:
        hooks = self._hooks.get(app.id, {}).values()
        active = sum(hook.webhook.is_active for hook in hooks)
        is_bounded = app.is_ephemeral and self._apps.has_quotas
        active_max = (
            webhook_limits.EPHEMERAL_ACTIVE_MAX if is_bounded else webhook_limits.ACTIVE_MAX
        )
        stored_max = (
            webhook_limits.EPHEMERAL_STORED_MAX if is_bounded else webhook_limits.STORED_MAX
        )
        if active >= active_max:
            raise _too_many(f"The app has {active} active webhooks, which are the most.")
        if is_new and len(hooks) >= stored_max:
            raise _too_many(f"The app has {len(hooks)} webhooks, which are the most. Delete some.")

    @property
    def checks(self) -> int:
        """How many hosts are being looked up for new URLs."""
        return self._checks.used(ALL)

    def _lock_of(self, app_id: str) -> asyncio.Lock:
        """One change at a time of the webhooks of an app."""
        lock = self._locks.get(app_id)
        if lock is None:
            lock = self._locks[app_id] = asyncio.Lock()
        return lock

    async def _check_host(self, app: App, given: Any) -> str:
        text, url = check_url(given, allows_private_hosts=self.sender.allows_private_hosts)
        bounds: dict[str, int] = {
            ALL: webhook_limits.CHECKS_MAX,
            app.id: webhook_limits.CHECKS_OF_APP_MAX,
        }
        if app.is_ephemeral:
            bounds["ephemeral"] = webhook_limits.EPHEMERAL_CHECKS_MAX
        if not self._checks.take(1, bounds):
            raise Unavailable("overloaded", "Too many URLs are being checked; try again.")
        lookups: Lookups = []
        try:
            problem = await self.sender.find_problem(url, lookups)
        finally:
            when_free(lookups, lambda: self._checks.give_back(1, bounds))
        if problem is not None:
            raise refused(given, problem, "url")
        return text

    async def load_imported(self, app_id: str) -> None:
        """Hold the webhooks that came with an import of an app."""
        await self._load()
        async with self._lock_of(app_id):
            for row in await self._rows.load_of(app_id):
                is_held = row.webhook.id in self._hooks.get(app_id, {})
                if not is_held and row.webhook.status != "deleted":
                    self._hold(row, is_ephemeral=self._is_ephemeral(app_id))

    # --- events ---------------------------------------------------------------------------------

    async def events(self, app: App, webhook_id: str, *, before: TxId | None) -> EventsPage:
        """A page of the events of a webhook, newest first, those before transaction `before`."""
        await self._get(app.id, webhook_id)
        count = webhook_limits.EVENTS_PAGE
        found = await self._rows.events(webhook_id, before=before, count=count + 1)
        processing = frozenset(
            event.tx for event in found if self.deliveries.is_running(webhook_id, event.tx)
        )
        return EventsPage(found[:count], processing, len(found) > count)

    async def event_json(self, app: App, webhook_id: str, isn: str) -> dict[str, Any]:
        """One event as clients receive it."""
        await self._get(app.id, webhook_id)
        event = await self._get_event(webhook_id, isn)
        return event.to_json(is_processing=self.deliveries.is_running(webhook_id, event.tx))

    async def resend(
        self, app: App, webhook_id: str, isn: str, *, turn_key: TurnKey
    ) -> dict[str, Any]:
        """Let an event be delivered once more, whatever became of it.

        raises   InvalidInput while it is being delivered; NotFound, also when the log of the app
                 does not have its transaction any more
        """
        hook = await self._get(app.id, webhook_id)
        event = await self._get_event(webhook_id, isn)
        await self._read_payload(app, hook.webhook, event.tx, turn_key=turn_key)
        return await self._whole(self._resend(hook, event.tx))

    async def _resend(self, hook: Hook, tx: TxId) -> dict[str, Any]:
        webhook_id = hook.webhook.id
        if self.deliveries.is_running(webhook_id, tx):
            problem = "Could not resend event. Try again in one minute."
            raise invalid("webhook-event", isn_of(tx), [{"message": problem}])
        now_ms = self._runtime.now_ms()
        change = (key_of(webhook_id, tx), lambda event: event.queued_again(now_ms))
        (event,) = await self._rows.change_events([change])
        if event is None:
            raise unknown_event(isn_of(tx))
        self.deliveries.add(hook.lane, [event])
        self.deliveries.hasten(webhook_id, tx, now_ms)
        return event.to_json(is_processing=False)

    async def payload(self, app: App, webhook_id: str, isn: str, *, turn_key: TurnKey) -> bytes:
        """What an event is about, as JSON.

        raises   NotFound when there is no such event, or the log does not have it any more
        """
        hook = await self._get(app.id, webhook_id)
        event = await self._get_event(webhook_id, isn)
        return await self._read_payload(app, hook.webhook, event.tx, turn_key=turn_key)

    async def _read_payload(
        self, app: App, webhook: Webhook, tx: TxId, *, turn_key: TurnKey
    ) -> bytes:
        url_of = app.database.url_of

        def work(snapshot: Snapshot) -> bytes:
            logged = snapshot.logged_changes(TxId(tx - 1), rows_max=1, bytes_max=1, is_whole=True)
            if not logged or logged[0].tx != tx:
                raise _no_log(isn_of(tx))
            return payload_json(logged[0], webhook, snapshot.catalog, url_of)

        return await app.database.read_on_thread(work, turn_key=turn_key)

    async def _get_event(self, webhook_id: str, isn: str) -> Event:
        tx = find_tx(isn)
        event = None if tx is None else await self._rows.find_event(webhook_id, tx)
        if event is None:
            raise unknown_event(isn)
        return event

    # --- delivering -----------------------------------------------------------------------------

    async def _send(self, lane: Lane, tx: TxId, lookups: Lookups) -> Attempt | None:
        hook = self._hooks.get(lane.app_id, {}).get(lane.webhook_id)
        if hook is None:
            return None
        webhook, now_ms = hook.webhook, self._runtime.now_ms()
        if not webhook.is_active:
            told = webhook.disabled_reason or "The webhook is disabled."
            return Attempt(now_ms, 0, error_type="disabled", error_message=told)
        try:
            self._apps.get_row(webhook.app_id)
        except NotFound:
            return None
        isn = isn_of(tx)
        path = f"/webhooks/payload/{webhook.app_id}/{webhook.id}/{isn}"
        claim = Claim(webhook.app_id, webhook.id, isn)
        body = orjson.dumps(
            {
                "payloadUrl": self._base_url + path,
                "token": self.keys.token(claim, issuer=self._base_url, now_ms=now_ms),
            }
        )
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": _USER_AGENT,
            "Instant-Signature": self.keys.signature(body, now_ms=now_ms),
            "Idempotency-Key": idempotency_key(webhook.id, isn),
        }
        return await self.sender.post(webhook.url, body, headers, lookups)

    async def _disable_gone(self, lane: Lane) -> None:
        """The receiver wants no more events."""

        def change(webhook: Webhook) -> Webhook:
            return replace(webhook, status="disabled", disabled_reason=_GONE)

        try:
            app = await self._apps.lend(lane.app_id)
            try:
                await self._change(app, lane.webhook_id, change)
            finally:
                self._apps.give_back(app)
        except TriceError as failure:
            told = fields(webhook=lane.webhook_id, reason=failure.message)
            logger.warning("webhook not disabled %s", told)
        self.deliveries.hasten_all(lane.webhook_id)

    # --- memory and rows ------------------------------------------------------------------------

    async def _start(self, background: Background) -> None:
        while True:
            try:
                await self._load()
                break
            except TriceError as failure:
                logger.warning("webhooks not loaded %s", fields(reason=failure.message))
                await self._runtime.sleep_ms(webhook_limits.LOG_RETRY_MS)
        self.deliveries.start(background)
        self.outbox.start(background)

    async def _load(self) -> None:
        """Read all webhooks, once."""
        if self._loading is None or (self._loading.done() and self._loading.exception()):
            self._loading = asyncio.get_running_loop().create_task(self._load_all())
        await asyncio.shield(self._loading)

    async def _load_all(self) -> None:
        for row in await self._rows.load():
            webhook = row.webhook
            if webhook.status == "deleted":
                self._dying[webhook.id] = None
                continue
            hook = self._hold(row, is_ephemeral=self._is_ephemeral(webhook.app_id))
            self.deliveries.add(hook.lane, await self._rows.unfinished(webhook.id))
            await asyncio.sleep(0)

    def _is_ephemeral(self, app_id: str) -> bool:
        try:
            return self._apps.get_row(app_id).expires_ms is not None
        except NotFound:
            return True

    def _hold(self, row: WebhookRow, *, is_ephemeral: bool) -> Hook:
        webhook = row.webhook
        lane = self.deliveries.open(webhook.id, webhook.app_id, is_ephemeral=is_ephemeral)
        hook = Hook(webhook, row.position, row.position, lane)
        self._hooks.setdefault(webhook.app_id, {})[webhook.id] = hook
        return hook

    def _forget(self, app_id: str, webhook_id: str) -> None:
        self.deliveries.drop(webhook_id)
        hooks = self._hooks[app_id]
        del hooks[webhook_id]
        if not hooks:
            del self._hooks[app_id]

    async def _get(self, app_id: str, webhook_id: str) -> Hook:
        await self._load()
        hook = self._hooks.get(app_id, {}).get(webhook_id)
        if hook is None:
            raise unknown_webhook(webhook_id)
        return hook

    async def _whole(self, change: Coroutine[Any, Any, T]) -> T:
        """Complete a change even if its caller leaves meanwhile, so that what is in memory is what
        is on disk."""
        task = asyncio.get_running_loop().create_task(change)
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        return await asyncio.shield(task)

    async def sweep(self) -> None:
        """Delete what is not kept any more: events of deleted webhooks, webhooks of deleted apps,
        and old events."""
        for app_id in [each for each in self._hooks if not self._apps.has_row(AppId(each))]:
            for webhook_id in list(self._hooks[app_id]):
                self._forget(app_id, webhook_id)
                self._dying[webhook_id] = None
        for webhook_id in list(self._dying):
            await self._rows.delete_all(webhook_id)
            self._dying.pop(webhook_id, None)
        for hook in [hook for hooks in self._hooks.values() for hook in hooks.values()]:
            if hook.made:
                hook.made = 0
                is_bounded = hook.lane.is_ephemeral and self._apps.has_quotas
                kept = (
                    webhook_limits.EPHEMERAL_EVENTS_KEPT
                    if is_bounded
                    else webhook_limits.EVENTS_KEPT
                )
                await self._rows.delete_surplus(hook.webhook.id, kept=kept)
        await self._rows.delete_old(self._runtime.now_ms() - webhook_limits.EVENTS_KEPT_MS)


def _too_many(message: str) -> InvalidInput:
    return invalid("webhooks", None, [{"message": message}])


def _no_log(isn: str) -> NotFound:
    return NotFound(
        "record-not-found",
        "Record not found: webhook-event. The log of the app does not have this transaction any"
        " more (--history-days), so its payload is gone.",
        {"record-type": "webhook-event", "args": [{"isn": isn}]},
    )
