"""An event: one transaction that concerns one webhook, and what became of its delivery. No I/O.

    pending ──attempt──> success
       │ └──fails──> error ──due again──> … eleven attempts in all ──> failed
       └──the webhook is disabled──> failed

`processing` is shown while an attempt is under way, and is never written: after a restart the event
is delivered again.

source   instant-http §6.5
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import orjson

from trice import webhook_limits
from trice.catalog.dates import iso_text
from trice.protocol.ids import EntityId, TxId, find_uuid_bytes, uuid_text

Status = Literal["pending", "error", "success", "failed"]
ErrorType = Literal[
    "timeout", "dns", "connect", "tls", "protocol", "network", "unknown", "disabled"
]

_ISN: Final = re.compile(r"0/([0-9A-F]{1,8})/([0-9A-F]{1,8})", re.IGNORECASE | re.ASCII)
_GONE: Final = 410


def isn_of(tx: TxId) -> str:
    """The name of a transaction among webhooks: `0/0/1F`."""
    return f"0/{tx >> 32:X}/{tx & 0xFFFFFFFF:X}"


def find_tx(isn: str) -> TxId | None:
    """The transaction that `isn` names; None for any other text."""
    match = _ISN.fullmatch(isn)
    return None if match is None else TxId(int(match[1], 16) << 32 | int(match[2], 16))


def key_of(webhook_id: str, tx: TxId) -> str:
    """The key of an event; keys of one webhook are in the order of transactions."""
    return f"{webhook_id}/{tx:016x}"


def idempotency_key(*parts: str) -> str:
    """A uuid that is the same whenever it is made of the same parts."""
    return uuid_text(hashlib.sha256("\0".join(parts).encode()).digest()[:16])


@dataclass(frozen=True, slots=True)
class Attempt:
    """One delivery that was tried.

    status_code, response_text   None without an answer
    error_type                   None with an answer
    """

    at_ms: int
    duration_ms: int
    status_code: int | None = None
    response_text: str | None = None
    error_type: ErrorType | None = None
    error_message: str | None = None

    @property
    def is_success(self) -> bool:
        return self.status_code is not None and 200 <= self.status_code < 300

    @property
    def is_gone(self) -> bool:
        """Whether the receiver wants no more events."""
        return self.status_code == _GONE

    def to_json(self) -> dict[str, Any]:
        return {
            "attempt-at": iso_text(self.at_ms),
            "duration-ms": self.duration_ms,
            "success?": self.is_success,
            "status-code": self.status_code,
            "response-text": self.response_text,
            "error-type": self.error_type,
            "error-message": self.error_message,
        }


@dataclass(frozen=True, slots=True)
class Event:
    """An event as its row holds it.

    entities   those that its payload is about; None: more than limits.ENTITIES_KEPT
    tries      attempts since it was queued last
    attempts   as JSON, oldest first
    due_ms     when the next attempt may be; None: there is none
    """

    tx: TxId
    created_ms: int
    updated_ms: int
    entities: tuple[EntityId, ...] | None
    status: Status = "pending"
    tries: int = 0
    due_ms: int | None = None
    attempts: tuple[dict[str, Any], ...] = ()

    def after(self, attempt: Attempt, *, now_ms: int) -> Event:
        """The event after an attempt."""
        tries = self.tries + 1
        delays = webhook_limits.RETRY_DELAYS_MS
        status: Status = "error"
        due_ms = None
        if attempt.is_success:
            status = "success"
        elif attempt.is_gone or attempt.error_type == "disabled" or tries > len(delays):
            status = "failed"
        else:
            due_ms = now_ms + delays[tries - 1]
        kept = (*self.attempts, attempt.to_json())[-webhook_limits.ATTEMPTS_KEPT :]
        return replace(
            self, updated_ms=now_ms, status=status, tries=tries, due_ms=due_ms, attempts=kept
        )

    def queued_again(self, now_ms: int) -> Event:
        """The event as it waits for delivery once more."""
        return replace(self, updated_ms=now_ms, status="pending", tries=0, due_ms=now_ms)

    def to_json(self, *, is_processing: bool) -> dict[str, Any]:
        """The event as clients receive it."""
        return {
            "isn": isn_of(self.tx),
            "status": "processing" if is_processing else self.status,
            "attempts": self.attempts or None,
            "next_attempt_after": None if self.due_ms is None else iso_text(self.due_ms),
            "created_at": iso_text(self.created_ms),
            "updated_at": iso_text(self.updated_ms),
        }

    def dump(self) -> str:
        """What its row holds besides key and time."""
        entities = self.entities
        return orjson.dumps(
            {
                "entities": None if entities is None else [uuid_text(each) for each in entities],
                "status": self.status,
                "tries": self.tries,
                "due": self.due_ms,
                "updated": self.updated_ms,
                "attempts": self.attempts,
            }
        ).decode()

    @classmethod
    def load(cls, key: str, created_ms: int, text: str) -> Event:
        """The event of a row."""
        found = orjson.loads(text)
        named = found["entities"]
        return cls(
            TxId(int(key.rpartition("/")[2], 16)),
            created_ms,
            found["updated"],
            None if named is None else tuple(map(_entity, named)),
            found["status"],
            found["tries"],
            found["due"],
            tuple(found["attempts"]),
        )


def _entity(text: str) -> EntityId:
    found = find_uuid_bytes(text)
    assert found is not None, "an entity has a uuid"
    return found
