"""Webhooks of an archive ↔ those of an app. They come disabled: a copy of an app must not call the
receivers of the one that is live.

    {"namespaces": [text], "sink": {"url": text}, "status": "active", "actions": [text]}

source   instant-http §6.5, §6.7; spec/archive.md AR110-AR113
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from trice import archive_limits as limits
from trice import webhook_limits
from trice.archive.report import Report, listed
from trice.catalog.catalog import Catalog
from trice.errors import InvalidInput
from trice.protocol.quoting import quote
from trice.runtime import Runtime, new_key
from trice.webhooks.webhook import Webhook, check_actions, check_namespaces, check_url

REASON: Final = "It came with an import. Enable it once its receiver may be called from here."


def webhooks_of(
    given: Sequence[Any], app_id: str, catalog: Catalog, report: Report, runtime: Runtime
) -> list[Webhook]:
    """The webhooks that an app gets, all disabled; what cannot be taken is noted in `report`.

    given   `webhooks` of config.json
    """
    taken: list[Webhook] = []
    refused: list[str] = []
    for each in given[: limits.WEBHOOKS_READ_MAX]:
        try:
            webhook = _webhook(each, app_id, catalog, runtime)
        except InvalidInput as failure:
            refused.append(f"{_url(each)} ({failure.message})")
            continue
        if not any(webhook.is_like(other) for other in taken):
            taken.append(webhook)
    if len(given) > limits.WEBHOOKS_READ_MAX:
        refused += ["…"] * (len(given) - limits.WEBHOOKS_READ_MAX)
    if refused:
        report.note(f"These webhooks did not come: {listed(refused)}.")
    return taken


def new_webhooks(
    taken: Sequence[Webhook], there: Sequence[Webhook], report: Report
) -> list[Webhook]:
    """Those that the app does not have already; they are noted in `report`.

    there   the webhooks of an app that is replaced, which stay as they are
    """
    new = [each for each in taken if not any(each.is_like(other) for other in there)]
    room = max(webhook_limits.STORED_MAX - len(there), 0)
    if len(new) > room:
        lost = listed([webhook.url for webhook in new[room:]])
        report.note(f"An app has {webhook_limits.STORED_MAX} webhooks at most; without: {lost}.")
        new = new[:room]
    if new:
        urls = listed([webhook.url for webhook in new])
        report.note(
            f"{len(new):,} webhooks came, and are disabled, so that a copy does not call a live"
            f" receiver: {urls}.",
            "Once the old app is switched off, and the receivers know the key of this server"
            " (GET /.well-known/webhooks/jwks.json), enable each:"
            f" POST /dash/apps/{report.app_id}/webhooks/ID/enable with the admin token.",
        )
    return new


def exported_webhooks(webhooks: Iterable[Webhook]) -> list[dict[str, Any]]:
    """`webhooks` of config.json."""
    return [
        {
            "namespaces": webhook.namespaces,
            "sink": {"url": webhook.url},
            "status": webhook.status,
            "actions": webhook.actions,
        }
        for webhook in webhooks
        if webhook.status != "deleted"
    ]


def _webhook(given: Any, app_id: str, catalog: Catalog, runtime: Runtime) -> Webhook:
    fields = given if isinstance(given, dict) else {}
    # Hosts are looked up when it is delivered; so is whether they may be called from here.
    url, _ = check_url(_url(given), allows_private_hosts=True)
    now_ms = runtime.now_ms()
    return Webhook(
        new_key(runtime),
        app_id,
        url,
        check_namespaces(fields.get("namespaces"), catalog),
        check_actions(fields.get("actions")),
        now_ms,
        now_ms,
        "disabled",
        REASON,
    )


def _url(given: Any) -> str:
    sink = given.get("sink") if isinstance(given, dict) else None
    url = sink.get("url") if isinstance(sink, dict) else None
    return url if isinstance(url, str) else quote(given)
