"""Quotas of apps: how much one may hold, and how much may be asked of it. No I/O.

    app's own  ──not set──>  of its account or organisation  ──not set──>  of the server  ──>  none

rows, bytes   enforced by the engine, in each transaction      (`store.quota`)
file-bytes    by uploads                                       (`files.quota`)
requests      by sessions and routes, before the work          (`apps.meters`)
sockets       by sessions, when one opens its app              (`Apps.lend_socket`)
apps          of an account or organisation: when it makes or gets one (`apps.registry`)

source   spec/quotas.md QT1-QT12
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from trice import file_limits, limits, quota_limits
from trice.errors import InvalidInput, LimitExceeded, invalid
from trice.protocol.quoting import quote
from trice.store.quota import Quota

Bound = int | Literal["unlimited"] | None
"""A quota as somebody set it; None: nobody did here."""

Holder = Literal["account", "organisation"]
SetBy = Literal["app", "account", "organisation", "server"]

APP_QUOTAS: Final = ("rows", "bytes", "file-bytes", "requests", "sockets")
HOLDER_QUOTAS: Final = (*APP_QUOTAS, "apps")


class Quotas(msgspec.Struct, frozen=True, rename="kebab", omit_defaults=True):
    """Quotas set in one place: of an app, for each app of an account, or of the server.

    requests   in a minute
    apps       how many apps an account or organisation may have; means nothing elsewhere
    """

    rows: Bound = None
    bytes: Bound = None
    file_bytes: Bound = None
    requests: Bound = None
    sockets: Bound = None
    apps: Bound = None

    def to_json(self) -> dict[str, Any]:
        """`{"rows": 1000, "sockets": "unlimited"}`: those that are set."""
        told: dict[str, Any] = msgspec.to_builtins(self)
        return told

    def text(self) -> str | None:
        """How it is kept in a row; None if nothing is set."""
        return None if self == NONE else msgspec.json.encode(self).decode()


NONE: Final = Quotas()


def load(text: str | None) -> Quotas:
    """The quotas of a row."""
    return NONE if text is None else msgspec.json.decode(text, type=Quotas)


def changed(quotas: Quotas, given: Any, *, names: tuple[str, ...] = APP_QUOTAS) -> Quotas:
    """Quotas with some of them set anew.

    given   decoded JSON: `{"rows": 1000, "bytes": "unlimited", "sockets": null}`; null unsets
    raises  InvalidInput
    """
    if not isinstance(given, dict):
        raise _wrong([], f"Quotas are an object with {', '.join(names)}.")
    fields = {}
    for name, value in given.items():
        if name not in names:
            raise _wrong([name], f"There is no quota {quote(str(name))}, but {', '.join(names)}.")
        is_number = type(value) is int and 0 <= value <= quota_limits.QUOTA_MAX
        if not (is_number or value == "unlimited" or value is None):
            problem = 'A quota is a whole number from 0 to 2^53 - 1, "unlimited", or null for none.'
            raise _wrong([name], problem)
        fields[name.replace("-", "_")] = value
    return msgspec.structs.replace(quotas, **fields)


def parse(text: str, *, flag: str) -> Quotas:
    """Read `rows=1000,bytes=67108864,sockets=unlimited`, as options of commands have it.

    raises  InvalidInput
    """
    given: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = part.partition("=")
        given[name] = int(value) if value.isascii() and value.isdigit() else value
    try:
        return changed(NONE, given)
    except InvalidInput as failure:
        names = ", ".join(APP_QUOTAS)
        accepted = f"rows=1000,sockets=unlimited and such, of {names}"
        problem = f"--{flag} is {text!r}, but must be {accepted}."
        raise InvalidInput("param-malformed", problem) from failure


def _wrong(path: list[str], problem: str) -> InvalidInput:
    return invalid("quotas", None, [{"message": problem, "in": path}])


# --- in force -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Allowed:
    """What is in force for an app; None: no bound.

    set_by   who set each quota that is not None
    advice   what can be done about a refusal: the end of its message
    """

    rows: int | None
    bytes: int | None
    file_bytes: int | None
    requests: int | None
    sockets: int | None
    set_by: dict[str, SetBy]
    advice: str

    def find(self, name: str) -> int | None:
        """One of APP_QUOTAS."""
        found: int | None = getattr(self, name.replace("-", "_"))
        return found

    @property
    def stored(self) -> Quota:
        """The part that the engine enforces."""
        return Quota(self.rows, self.bytes, self.advice)


def ephemeral_quotas() -> Quotas:
    """What throw-away apps may hold where the operator does not say otherwise."""
    return Quotas(
        rows=limits.EPHEMERAL_ROWS_MAX,
        bytes=limits.EPHEMERAL_BYTES_MAX,
        file_bytes=file_limits.EPHEMERAL_FILES_BYTES_MAX,
    )


def over(first: Quotas, second: Quotas) -> Quotas:
    """Quotas of which `first` says what it sets, and `second` the rest."""
    set_ones = {
        name: value
        for name in Quotas.__struct_fields__
        if (value := getattr(first, name)) is not None
    }
    return msgspec.structs.replace(second, **set_ones)


def resolve(
    own: Quotas,
    holder: Quotas,
    server: Quotas,
    *,
    app_id: str,
    holder_kind: Holder | None,
    is_ephemeral: bool,
) -> Allowed:
    """What is in force for an app, from what is set for it, for its holder and by the server."""
    found: dict[str, int | None] = {}
    set_by: dict[str, SetBy] = {}
    places: tuple[tuple[Quotas, SetBy], ...] = (
        (own, "app"),
        (holder, holder_kind or "account"),
        (server, "server"),
    )
    for name in APP_QUOTAS:
        field = name.replace("-", "_")
        found[field] = None
        for quotas, place in places:
            value: Bound = getattr(quotas, field)
            if value is not None:
                if value != "unlimited":
                    found[field], set_by[name] = value, place
                break
    advice = f", or have the operator of the server raise it: trice apps quota {app_id}"
    if is_ephemeral:
        advice += ". An app of an account is not bounded as a throw-away app is"
    return Allowed(**found, set_by=set_by, advice=advice)


def no_socket(allowed: Allowed, current: int, most: int) -> LimitExceeded:
    """The error for one connection too many."""
    told = f"This app has {current:,} connections, and {most:,} are the most. Close some"
    return LimitExceeded(
        "app-quota-exceeded",
        f"{told}{allowed.advice}.",
        {"quota": "sockets", "current": current, "limit": most},
    )


def too_many_users(users: int) -> LimitExceeded:
    """The error for one connection or request too many of a throw-away app."""
    most = limits.EPHEMERAL_USERS_MAX
    return LimitExceeded(
        "app-quota-exceeded",
        f"This throw-away app is in use by {users:,} connections and requests, and {most:,} are the"
        " most. Close some, or use an app that lasts.",
        {"quota": "users", "current": users, "limit": most},
    )
