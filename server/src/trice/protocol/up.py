"""What a client may send over a WebSocket or an SSE push (instant-realtime §3, §5, §6).

    {"op":"init","client-event-id":"…","app-id":"…","refresh-token":"…","__admin-token":"…",
     "trice":{"version":1,"features":["delta","resume"],"tx":41,"catalog":"…"}}
    {"op":"add-query","client-event-id":"…","q":{…},"return-type":"join-rows"|"tree","held":"…"}
    {"op":"remove-query","client-event-id":"…","q":{…}}
    {"op":"transact","client-event-id":"…","tx-steps":[[…],…]}

Unknown keys are ignored. Absent and null are the same.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec


class _Up(msgspec.Struct, rename="kebab", tag_field="op"):
    """Fields every message has. `client_event_id` is echoed in answers."""

    client_event_id: str | None = None


class Init(_Up, tag="init"):
    """Opens the session: which app, and as whom. `trice` asks for features of our own."""

    app_id: Any = None
    refresh_token: Any = None
    admin_token: Any = msgspec.field(name="__admin-token", default=None)
    versions: Any = None
    trice: Any = None


class AddQuery(_Up, tag="add-query"):
    """Subscribes to `q`. `return_type` "tree" asks for nested objects instead of triples.

    held   version of the answer that the client still has (only after `resume` was agreed on)
    """

    q: Any = None
    return_type: Any = None
    is_inferring: Any = msgspec.field(name="inference?", default=None)
    held: Any = None


class RemoveQuery(_Up, tag="remove-query"):
    """Ends the subscription to `q`; unknown ones are no error."""

    q: Any = None


class Transact(_Up, tag="transact"):
    """Applies `tx_steps` as one transaction."""

    tx_steps: Any = None


Up = Init | AddQuery | RemoveQuery | Transact

NOT_BUILT_OPS: Final = {
    "join-room": "Rooms",
    "leave-room": "Rooms",
    "set-presence": "Rooms",
    "client-broadcast": "Rooms",
    "start-stream": "Streams",
    "append-stream": "Streams",
    "subscribe-stream": "Streams",
    "unsubscribe-stream": "Streams",
    "start-sync": "Sync tables",
    "resync-table": "Sync tables",
    "remove-sync": "Sync tables",
}
"""Ops of the protocol this version answers with `not-built`, and the feature they belong to."""


def _read_float(text: str) -> float:
    """A number with a fraction or exponent. msgspec's own reading takes 8 µs for 1.2e300, of which
    64 KiB hold 8,000; this takes 0.2 µs for any.

    raises   ValueError when no double is as large
    """
    value = float(text)
    if value - value != 0.0:
        raise ValueError(f"The number {text[:40]} is larger than a double can hold")
    return value


decoder: Final = msgspec.json.Decoder(Up, float_hook=_read_float)

_MISFIT: Final = re.compile(
    r"Expected `(?P<wanted>[^`]+)`, got `(?P<given>[^`]+)`(?: - at `\$\.?(?P<path>[^`]*)`)?"
)
_JSON_WORDS: Final = {
    "str": "a string",
    "int": "a number",
    "float": "a number",
    "bool": "true or false",
    "array": "an array",
    "object": "an object",
    "null": "null",
}
"""What the decoder calls a type, and what its sender does."""


def explain_misfit(cause: Exception) -> tuple[list[str], str]:
    """Where in a message a field has the wrong form, and what is accepted there.

    cause    what `decoder` raised for a message that is JSON with a known op
    returns  the path, empty for the message itself, and a sentence or the end of one
    """
    found = _MISFIT.search(str(cause))
    if found is None:
        return [], "It is not a message of this protocol."
    wanted, given = (
        " or ".join(_JSON_WORDS.get(name, name) for name in found[part].split(" | "))
        for part in ("wanted", "given")
    )
    path = [name for name in (found["path"] or "").split(".") if name]
    return path, f"It must be {wanted}, not {given}."
