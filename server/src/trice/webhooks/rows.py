"""Webhooks and their events as rows of the platform's database.

    $webhooks        key `<app>/<webhook>`, definition (JSON), position: the last transaction that
                     became events
    $webhookEvents   key `<webhook>/<transaction, 16 hex digits>`, which is unique; queue: the same
                     while the event is unfinished; createdAt; state (JSON)

Events and the position behind them are written in one transaction: after a kill no event is missing
and none is there twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from trice import webhook_limits
from trice.database import Change, Database, Look
from trice.errors import NotFound, no_record
from trice.protocol.ids import TxId, find_uuid_bytes
from trice.runtime import Runtime, new_key
from trice.system_rows import find_row
from trice.webhooks.event import Event, key_of
from trice.webhooks.webhook import Webhook

_WEBHOOKS: Final = "$webhooks"
_EVENTS: Final = "$webhookEvents"


@dataclass(frozen=True, slots=True)
class WebhookRow:
    """A webhook, and the last transaction that became events of it."""

    webhook: Webhook
    position: TxId


def unknown_webhook(webhook_id: str) -> NotFound:
    """The error for a webhook that the app does not have."""
    return no_record("webhook", "The app has no webhook with this id.", {"id": webhook_id})


def unknown_event(isn: str) -> NotFound:
    """The error for an event that a webhook does not have, or no more."""
    told = "The webhook has no event with this isn, or no more."
    return no_record("webhook-event", told, {"isn": isn})


class Rows:
    """Reads and writes. Holds nothing but the database.

    Every method may raise Unavailable("overloaded") when the disk is full.
    """

    def __init__(self, database: Database, *, runtime: Runtime) -> None:
        self._database = database
        self._runtime = runtime

    # --- webhooks -------------------------------------------------------------------------------

    async def load(self) -> list[WebhookRow]:
        """The webhooks of all apps, oldest first within each app."""
        found: list[WebhookRow] = []
        after = ""
        while some := await self._page(
            _WEBHOOKS, "key", after, "~", count=webhook_limits.LOADED_AT_ONCE
        ):
            found += map(_webhook, some)
            after = some[-1]["key"]
        return found

    async def load_of(self, app_id: str) -> list[WebhookRow]:
        """The webhooks of one app, oldest first."""
        count = webhook_limits.STORED_MAX + 1
        some = await self._page(_WEBHOOKS, "key", f"{app_id}/", f"{app_id}0", count=count)
        return [_webhook(row) for row in some]

    async def insert(self, webhook: Webhook, *, position: TxId) -> None:
        """Add a webhook, which hears of the transactions after `position`."""
        step = put_step(webhook, position=position)
        await self._database.change(lambda change: change.write(step))

    async def update(self, webhook: Webhook, *, position: TxId | None = None) -> None:
        """Replace the definition; with `position` it hears of what comes after that only.

        raises   NotFound when the webhook was deleted
        """
        fields: dict[str, Any] = {"definition": webhook.dump()}
        if position is not None:
            fields["position"] = position

        def work(change: Change) -> None:
            _get_webhook(change, webhook.id)
            change.write(["update", _WEBHOOKS, webhook.id, fields])

        await self._database.change(work)

    async def delete(self, webhook_id: str) -> None:
        """Delete the row of a webhook whose events are deleted."""

        def work(change: Change) -> None:
            if _find(change, _WEBHOOKS, "id", _uuid(webhook_id)) is not None:
                change.write(["delete", _WEBHOOKS, webhook_id])

        await self._database.change(work)

    # --- events made ----------------------------------------------------------------------------

    async def add(
        self,
        events: Iterable[tuple[str, Event]],
        *,
        positions: Mapping[str, TxId],
        new_position: TxId,
    ) -> set[str]:
        """Write events, and the position behind them, in one transaction.

        events     each with the id of its webhook
        positions  the position that each webhook had: one that was moved meanwhile, disabled or
                   deleted stays as it is, and gets no events
        returns    the webhooks that were moved
        """
        made = list(events)

        def work(change: Change) -> set[str]:
            moved = set()
            for webhook_id, position in positions.items():
                row = _find(change, _WEBHOOKS, "id", _uuid(webhook_id))
                if (
                    row is not None
                    and row["position"] == position
                    and _webhook(row).webhook.is_active
                ):
                    moved.add(webhook_id)
                    change.write(["update", _WEBHOOKS, webhook_id, {"position": new_position}])
            for webhook_id, event in made:
                if webhook_id in moved:
                    key = key_of(webhook_id, event.tx)
                    fields = {
                        "key": key,
                        "queue": key,
                        "createdAt": event.created_ms,
                        "state": event.dump(),
                    }
                    change.write(["create", _EVENTS, new_key(self._runtime), fields])
            return moved

        is_long = len(made) + len(positions) > webhook_limits.EVENTS_ON_LOOP
        return await self._database.change(work, is_long=is_long)

    async def unfinished(self, webhook_id: str) -> list[Event]:
        """The unfinished events of a webhook, oldest first."""
        found: list[Event] = []
        after = f"{webhook_id}/"
        while some := await self._page(
            _EVENTS, "queue", after, f"{webhook_id}0", count=webhook_limits.LOADED_AT_ONCE
        ):
            found += map(_event, some)
            after = some[-1]["queue"]
        return found

    # --- events delivered -----------------------------------------------------------------------

    async def change_events(
        self, changes: Sequence[tuple[str, Callable[[Event], Event]]]
    ) -> list[Event | None]:
        """Change events by their keys, in one transaction; None for those that are gone."""

        def work(change: Change) -> list[Event | None]:
            changed: list[Event | None] = []
            for key, make in changes:
                row = _find(change, _EVENTS, "key", key)
                if row is None:
                    changed.append(None)
                    continue
                event = make(_event(row))
                is_finished = event.status in ("success", "failed")
                fields = {"queue": None if is_finished else key, "state": event.dump()}
                change.write(["update", _EVENTS, row["id"], fields])
                changed.append(event)
            return changed

        return await self._database.change(work)

    # --- events read ----------------------------------------------------------------------------

    async def find_event(self, webhook_id: str, tx: TxId) -> Event | None:
        """One event."""
        key = key_of(webhook_id, tx)
        row = await self._database.look(lambda look: _find(look, _EVENTS, "key", key))
        return None if row is None else _event(row)

    async def events(self, webhook_id: str, *, before: TxId | None, count: int) -> list[Event]:
        """Events of a webhook, newest first, those before transaction `before`."""
        end = f"{webhook_id}0" if before is None else key_of(webhook_id, before)
        found = await self._page(
            _EVENTS, "key", f"{webhook_id}/", end, count=count, direction="desc"
        )
        return [_event(row) for row in found]

    # --- events deleted -------------------------------------------------------------------------

    async def delete_surplus(self, webhook_id: str, *, kept: int) -> None:
        """Delete the finished events of a webhook beyond the newest `kept`."""
        first, end = f"{webhook_id}/", f"{webhook_id}0"
        newest = await self._page(
            _EVENTS, "key", first, end, count=1, direction="desc", offset=kept
        )
        while newest:
            count = webhook_limits.SWEEP_EVENTS
            some = await self._page(_EVENTS, "key", first, newest[0]["key"] + "~", count=count)
            if not some:
                break
            first = some[-1]["key"]
            await self._delete([row["id"] for row in some if row.get("queue") is None])

    async def delete_old(self, oldest_ms: int) -> None:
        """Delete events that were made before `oldest_ms`, of any webhook: some of them."""
        options = {
            "where": {"createdAt": {"$lt": oldest_ms}},
            "order": {"createdAt": "asc"},
            "limit": webhook_limits.SWEEP_EVENTS,
            "fields": ["id"],
        }
        found = await self._database.look(lambda look: look.find({_EVENTS: {"$": options}}))
        await self._delete([row["id"] for row in found[_EVENTS]])

    async def delete_all(self, webhook_id: str) -> None:
        """Delete the events of a webhook, and then its row."""
        end, count = f"{webhook_id}0", webhook_limits.SWEEP_EVENTS
        while some := await self._page(_EVENTS, "key", f"{webhook_id}/", end, count=count):
            await self._delete([row["id"] for row in some])
        await self.delete(webhook_id)

    async def _delete(self, ids: Sequence[str]) -> None:
        if ids:
            steps = [["delete", _EVENTS, each] for each in ids]
            is_long = len(ids) > webhook_limits.EVENTS_ON_LOOP
            await self._database.change(lambda change: change.write(*steps), is_long=is_long)

    async def _page(
        self,
        etype: str,
        label: str,
        after: str,
        before: str,
        *,
        count: int,
        direction: str = "asc",
        offset: int = 0,
    ) -> list[dict[str, Any]]:
        """Entities whose `label` lies between two texts, in that order."""
        options: dict[str, Any] = {
            "where": {"and": [{label: {"$gt": after}}, {label: {"$lt": before}}]},
            "order": {label: direction},
            "limit": count,
        }
        if offset:
            options["offset"] = offset
        found = await self._database.look(lambda look: look.find({etype: {"$": options}}))
        return found[etype]


def put_step(webhook: Webhook, *, position: TxId) -> list[Any]:
    """A step that adds a webhook to the platform's database; carried out twice it adds one."""
    key = f"{webhook.app_id}/{webhook.id}"
    fields = {"key": key, "definition": webhook.dump(), "position": position}
    return ["update", _WEBHOOKS, webhook.id, fields]


def _find(look: Look, etype: str, label: str, value: str | bytes) -> dict[str, Any] | None:
    row = find_row(look, etype, label, value)
    return None if row is None else row.fields


def _get_webhook(change: Change, webhook_id: str) -> Webhook:
    row = _find(change, _WEBHOOKS, "id", _uuid(webhook_id))
    if row is None:
        raise unknown_webhook(webhook_id)
    return _webhook(row).webhook


def _webhook(fields: Mapping[str, Any]) -> WebhookRow:
    app_id = fields["key"].partition("/")[0]
    webhook = Webhook.load(fields["id"], app_id, fields["definition"])
    return WebhookRow(webhook, TxId(fields["position"]))


def _event(fields: Mapping[str, Any]) -> Event:
    return Event.load(fields["key"], fields["createdAt"], fields["state"])


def _uuid(text: str) -> bytes:
    found = find_uuid_bytes(text)
    assert found is not None, "a webhook has a uuid"
    return found
