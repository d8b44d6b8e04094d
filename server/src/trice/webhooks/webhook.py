"""A webhook as its developer defines it (instant-http §6.5). No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from trice import webhook_limits
from trice.auth.oauth.origins import Url, read_url
from trice.catalog.catalog import Catalog
from trice.catalog.dates import iso_text
from trice.catalog.system import EXTENSIBLE, SYSTEM_ETYPES
from trice.errors import InvalidInput, invalid

Action = Literal["create", "update", "delete"]
Status = Literal["active", "disabled", "deleted"]

ACTIONS: Final[tuple[Action, ...]] = ("create", "update", "delete")


@dataclass(frozen=True, slots=True)
class Webhook:
    """What is delivered where.

    namespaces, actions   in the order given, each once
    status                `deleted` until the last of its events is deleted; then so is its row
    disabled_reason       None while it is active, and when none was given
    """

    id: str
    app_id: str
    url: str
    namespaces: tuple[str, ...]
    actions: tuple[Action, ...]
    created_ms: int
    updated_ms: int
    status: Status = "active"
    disabled_reason: str | None = None

    @property
    def is_active(self) -> bool:
        return self.status == "active"

    def is_like(self, other: Webhook) -> bool:
        """Whether both deliver the same to the same URL."""
        return (
            self.url == other.url
            and set(self.namespaces) == set(other.namespaces)
            and set(self.actions) == set(other.actions)
        )

    def to_json(self) -> dict[str, Any]:
        """The webhook as clients receive it."""
        return {
            "id": self.id,
            "sink": {"url": self.url},
            "namespaces": self.namespaces,
            "actions": self.actions,
            "status": self.status,
            "disabled_reason": self.disabled_reason,
            "created_at": iso_text(self.created_ms),
            "updated_at": iso_text(self.updated_ms),
        }

    def dump(self) -> str:
        """What its row holds besides id and app."""
        return orjson.dumps(
            {
                "url": self.url,
                "namespaces": self.namespaces,
                "actions": self.actions,
                "status": self.status,
                "reason": self.disabled_reason,
                "created": self.created_ms,
                "updated": self.updated_ms,
            }
        ).decode()

    @classmethod
    def load(cls, webhook_id: str, app_id: str, text: str) -> Webhook:
        """The webhook of a row."""
        found = orjson.loads(text)
        return cls(
            webhook_id,
            app_id,
            found["url"],
            tuple(found["namespaces"]),
            tuple(found["actions"]),
            found["created"],
            found["updated"],
            found["status"],
            found["reason"],
        )


def refused(given: Any, message: str, *where: str) -> InvalidInput:
    """The error for a webhook that cannot be."""
    return invalid("webhook", given, [{"in": list(where), "message": message}])


def check_url(given: Any, *, allows_private_hosts: bool) -> tuple[str, Url]:
    """The URL in a body: https to another machine, without a fragment.

    allows_private_hosts   also http, and this machine
    """
    url = read_url(given) if isinstance(given, str) else None
    if url is None or not url.is_web or url.fragment is not None:
        accepted = "Use an absolute https URL: https://example.com/webhooks/instant."
        raise refused(given, accepted, "url")
    if len(given) > webhook_limits.URL_CHARS_MAX:
        most = webhook_limits.URL_CHARS_MAX
        raise refused(None, f"The URL has {len(given):,} characters; the most are {most:,}.", "url")
    if not allows_private_hosts:
        if url.scheme != "https":
            raise refused(
                given, "The URL must use https, unless the server has --webhooks-private.", "url"
            )
        if url.is_local:
            raise refused(
                given,
                "The URL must lead to a public host, not to localhost, unless the server has"
                " --webhooks-private.",
                "url",
            )
    return given, url


def check_namespaces(given: Any, catalog: Catalog) -> tuple[str, ...]:
    """The namespaces in a body: those that an app has, and the public ones of the system."""
    names = _texts(given, "namespaces", most=webhook_limits.NAMESPACES_MAX)
    for name in names:
        is_hidden = name in SYSTEM_ETYPES and name not in EXTENSIBLE
        if is_hidden or name not in catalog.namespaces:
            raise refused(given, f"Could not find matching table for {name}", "namespaces")
    return names


def check_actions(given: Any) -> tuple[Action, ...]:
    """The actions in a body."""
    found: list[Action] = []
    for name in _texts(given, "actions", most=len(ACTIONS)):
        action = next((action for action in ACTIONS if action == name), None)
        if action is None:
            accepted = "create, update and delete"
            raise refused(given, f"There is no action {name!r}; there are {accepted}.", "actions")
        found.append(action)
    return tuple(found)


def check_reason(values: Mapping[str, Any]) -> str | None:
    """The reason in a body for disabling a webhook."""
    given = values.get("reason")
    if given is None:
        return None
    most = webhook_limits.REASON_CHARS_MAX
    if not isinstance(given, str) or len(given) > most:
        raise refused(None, f"The reason must be a text of at most {most:,} characters.", "reason")
    return given


def check_new(webhook: Webhook, others: Iterable[Webhook]) -> None:
    """Refuse an active webhook that another one is like."""
    for other in others:
        if other.id != webhook.id and other.is_active and other.is_like(webhook):
            problem = (
                f"The active webhook {other.id} has the same url, namespaces and actions already."
            )
            raise refused(None, problem)


def _texts(given: Any, label: str, *, most: int) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise refused(given, f"`{label}` must be a list of texts.", label)
    names = tuple(dict.fromkeys(given))
    if not names:
        raise refused(given, f"`{label}` must have at least one entry.", label)
    if len(names) > most:
        raise refused(None, f"`{label}` has {len(names):,} entries; the most are {most}.", label)
    return names
