"""How often a function may be called: `N/unit per user|ip|app|ARGUMENT` (FN210-FN213).

One call takes one token, and so does each event id: a call that is sent again takes none, unless it
is sent again and again. Words that only a machine tells apart are one: `Ann` and `ann `, 1 and 1.0.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

import msgspec
import orjson

from trice import function_limits as limits
from trice.errors import Bug, LimitExceeded
from trice.functions.rates import parse_rate
from trice.functions.signature import Signature
from trice.identity import Identity, network_of
from trice.rate_limit import Buckets, RateLimit
from trice.runtime import Runtime

_FOLDED_BYTES_MAX: Final = 1_024
"""Longer ones are counted as they are written."""


class Rates:
    """Takes tokens for calls. Holds the event ids that have taken one, the last ones used, and how
    often each was sent again."""

    def __init__(self, buckets: Buckets, runtime: Runtime) -> None:
        self._buckets = buckets
        self._runtime = runtime
        self._resent: OrderedDict[tuple[str, str], int] = OrderedDict()

    def take(
        self,
        app_id: str,
        signature: Signature,
        args: bytes,
        *,
        identity: Identity,
        ip: str,
        key: str | None,
    ) -> None:
        """Take a token for a call; admins need none.

        key      names the call, if it has an event id
        raises   LimitExceeded("rate-limited")
        """
        if signature.rate is None or identity.is_admin:
            return
        resent = None if key is None else self._resent.get((app_id, key))
        if key is not None and resent is not None and resent < limits.RESENT_MAX:
            self._resent[app_id, key] = resent + 1
            self._resent.move_to_end((app_id, key))
            return
        bucket, limit = _bucket(app_id, signature, signature.rate, args, identity=identity, ip=ip)
        refusal = self._buckets.take(bucket, (limit,))
        if refusal is not None:
            left_ms = max((refusal.retry_at_ms or 0) - self._runtime.now_ms(), 1)
            raise LimitExceeded(
                "rate-limited",
                f"{signature.name} may be called {signature.rate}; try again in {left_ms} ms.",
                {"function": signature.name, "rate": signature.rate, "retry-after": left_ms},
            )
        if key is not None:
            self._resent[app_id, key] = 0
            if len(self._resent) > limits.EVENT_IDS_COUNTED:
                self._resent.popitem(last=False)

    def owe(
        self,
        app_id: str,
        signature: Signature,
        args: bytes,
        *,
        identity: Identity,
        ip: str,
        tokens: int,
    ) -> None:
        """Take tokens for what was let in by another one; calls that come next wait for them."""
        if signature.rate is None or identity.is_admin:
            return
        bucket, limit = _bucket(app_id, signature, signature.rate, args, identity=identity, ip=ip)
        self._buckets.owe(bucket, limit, tokens)


def _bucket(
    app_id: str, signature: Signature, said: str, args: bytes, *, identity: Identity, ip: str
) -> tuple[tuple[str, str, str], RateLimit]:
    """What counts a call, and how much it holds. `said` is the rate of the function."""
    try:
        rate = parse_rate(said, signature.args.get("properties", {}))
    except ValueError as cause:
        raise Bug("unknown", "The rate of this function cannot be read.") from cause
    key = (f"function {app_id}", signature.name, _who(rate.per, args, identity, ip))
    return key, RateLimit(rate.count, rate.count, rate.unit_ms)


def _who(whose: str, args: bytes, identity: Identity, ip: str) -> str:
    network = network_of(ip or identity.ip)
    match whose:
        case "app":
            return ""
        case "ip":
            return network
        case "user":
            return network if identity.user_id is None else identity.name
        case _:
            return blake2b(_argument(args, whose), digest_size=16).hexdigest()


def _argument(args: bytes, name: str) -> bytes:
    """JSON of an argument; what is no object has none, and is refused where it is checked.

    cost   that of looking for the end of 4 MiB of others (4 ms), and of a short one
    """
    try:
        found: bytes = bytes(_picker(name).decode(args).it)
    except msgspec.DecodeError:
        return b""
    if len(found) > _FOLDED_BYTES_MAX:
        return found
    return orjson.dumps(_folded(orjson.loads(found)), option=orjson.OPT_SORT_KEYS)


@lru_cache(maxsize=256)
def _picker(name: str) -> msgspec.json.Decoder[Any]:
    """Reads one key of an object."""
    field = msgspec.field(name=name, default=msgspec.Raw(b"null"))
    return msgspec.json.Decoder(msgspec.defstruct("Picked", [("it", msgspec.Raw, field)]))


def _folded(value: Any) -> Any:
    """One value for those that functions and the database take for the same: ids have two cases,
    numbers two forms. Nobody gets more calls by writing it otherwise."""
    match value:
        case str():
            return value.strip().casefold()
        case float() if value.is_integer():
            return int(value)
        case list():
            return [_folded(each) for each in value]
        case dict():
            return {key: _folded(each) for key, each in value.items()}
        case _:
            return value
