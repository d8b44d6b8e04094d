"""The door of functions: what is deployed, who may call it, how often; the call that was let in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from hashlib import blake2b
from typing import Any, Final, Protocol

import orjson

from trice import function_limits as limits
from trice import job_limits
from trice.apps.app import App
from trice.calls.cursors import Cursors
from trice.calls.jobs.as_job import AsJob
from trice.calls.jobs.job import Job
from trice.calls.jobs.schedule import Wanted, decoded_args, wanted_of
from trice.calls.rates import Rates
from trice.calls.side import AppCode
from trice.errors import InvalidInput, LimitExceeded, NotFound, PermissionDenied
from trice.functions.frames import Later
from trice.functions.signature import KINDS_SHOWN, Kind, Signature
from trice.identity import ADMIN, Identity, TurnKey, hook_identity, network_of
from trice.protocol.compact_json import dumps_compact
from trice.protocol.ids import AppId, EventId
from trice.protocol.quoting import brief
from trice.rate_limit import Buckets
from trice.runtime import Runtime, new_uuid
from trice.transact.replay import digest_steps, replay_key

_TIMEOUTS_MS: Final[Mapping[Kind, int]] = {
    "query": limits.CALL_MS,
    "mutation": limits.CALL_MS,
    "action": limits.ACTION_MS,
    "endpoint": limits.ACTION_MS,
}
_NEAR_CHARS_MAX: Final = 100
_NEAR_MAX: Final = 300
"""Names are compared with so many others: 5 ms at most."""


class Deployed(Protocol):
    """What is deployed (`deployments.Deployments`)."""

    def current(self, app_id: AppId) -> AppCode | None:
        """The functions of an app; None: it has none."""
        ...

    def signatures(self, app_id: AppId) -> Mapping[str, Signature]:
        """What is known of them, by each name that they are called by."""
        ...

    def on_switch(self, listener: Callable[[AppId, AppCode | None], None]) -> None:
        """Call `listener` when an app has other functions, or other secrets."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A call that was let in.

    key     by which a mutation is recognised when it is sent again; None: never
    seed    of its randomness and ids
    depth   how many actions it runs inside of
    job     if it is the run of a job
    """

    app: App
    code: AppCode
    signature: Signature
    args: bytes
    identity: Identity
    ip: str
    origin: str
    key: EventId | None
    seed: str
    trace: str
    depth: int = 0
    job: AsJob | None = None

    @property
    def name(self) -> str:
        return self.signature.name

    @property
    def turn_key(self) -> TurnKey:
        """In whose turn it runs."""
        mine = self.identity
        return mine.turn_key if mine.is_admin else (network_of(self.ip), mine.name)

    @property
    def timeout_ms(self) -> int:
        is_job = self.job is not None and self.signature.kind == "action"
        usual = job_limits.JOB_MS if is_job else _TIMEOUTS_MS[self.signature.kind]
        given = self.signature.timeout_ms or usual
        return min(given, limits.ACTION_MS_MAX)


class Door:
    """Lets calls in, or says why not. Holds which event ids took tokens of rates.

    deployed   what can be called
    """

    def __init__(
        self,
        deployed: Deployed,
        *,
        runtime: Runtime,
        buckets: Buckets,
        seed_key: Callable[[], bytes],
    ) -> None:
        """
        seed_key   a secret of the server: without it, who knows an event id would know what is
                   random in its call
        """
        self.deployed = deployed
        self._runtime = runtime
        self._seed_key = seed_key
        self._rates = Rates(buckets, runtime)

    def let_in(
        self,
        app: App,
        name: str,
        args: bytes,
        *,
        identity: Identity,
        event_id: EventId | None = None,
        kind: Kind | None = None,
        ip: str = "",
        origin: str = "",
        trace: str | None = None,
    ) -> Asked:
        """Check that somebody may call a function; no token of its rate is taken.

        raises   NotFound("function-not-found"), PermissionDenied("signed-out"),
                 ("permission-denied"), LimitExceeded("call-too-big")
        """
        signature = self.deployed.signatures(app.id).get(name)
        if signature is None or (signature.is_internal and not identity.is_admin):
            raise self._not_found(app.id, name, identity)
        if kind != "endpoint" and signature.route is not None:
            route = signature.route
            told = f"{signature.name} is an endpoint: {route.method} /http/{app.id}{route.path}."
            raise not_found(name, told)
        if kind is not None and signature.kind != kind:
            wanted = f"{KINDS_SHOWN[kind]} is asked for here"
            told = f"{signature.name} is {KINDS_SHOWN[signature.kind]}; {wanted}."
            raise NotFound("function-not-found", told, {"function": signature.name})
        _check_caller(signature, identity)
        return self._asked(app, signature, args, identity, event_id, ip, origin, trace)

    def let_in_job(self, app: App, job: Job, as_job: AsJob) -> Asked:
        """The run of a job, by the server itself. The id of the job is the event id of a mutation,
        and decides what is random at each of its tries.

        raises   NotFound("function-not-found")
        """
        signature = self.deployed.signatures(app.id).get(job.function)
        if signature is None or signature.route is not None:
            raise self._not_found(app.id, job.function, ADMIN)
        args, event_id = orjson.dumps(job.args), EventId(job.id)
        who = ADMIN if signature.hook is None else hook_identity(signature.name, job.causes)
        made = self._asked(app, signature, args, who, event_id, "", "", job.trace or None)
        seed = self._seed(f"{app.id}/{job.id}")
        return replace(made, job=as_job, seed=seed)

    def wanted(self, asked: Asked, later: Later) -> Wanted:
        """A job that a call schedules, checked.

        raises   NotFound("function-not-found"), InvalidInput("bad-args"),
                 LimitExceeded("call-too-big")
        """
        signature = self.deployed.signatures(asked.app.id).get(later.function)
        if signature is None or signature.kind in ("query", "endpoint"):
            kind = "" if signature is None else KINDS_SHOWN[signature.kind].capitalize()
            raise not_found(later.function, f"{kind} cannot be scheduled." if kind else "")
        if len(later.args) > limits.ARGS_BYTES_MAX:
            raise args_too_big(len(later.args), limits.ARGS_BYTES_MAX)
        return wanted_of(
            later, decoded_args(later), now_ms=self._runtime.now_ms(), trace=asked.trace
        )

    def take_token(self, asked: Asked) -> None:
        """Count a call. raises   LimitExceeded("rate-limited")"""
        self._rates.take(
            *(asked.app.id, asked.signature, asked.args),
            identity=asked.identity,
            ip=asked.ip,
            key=asked.key,
        )

    def owe_tokens(self, asked: Asked, tokens: int) -> None:
        """Count as many calls more, though there may be too few tokens now."""
        self._rates.owe(
            *(asked.app.id, asked.signature, asked.args),
            identity=asked.identity,
            ip=asked.ip,
            tokens=tokens,
        )

    def _asked(
        self,
        app: App,
        signature: Signature,
        args: bytes,
        identity: Identity,
        event_id: EventId | None,
        ip: str,
        origin: str,
        trace: str | None,
    ) -> Asked:
        if len(args) > limits.ARGS_BYTES_MAX:
            raise args_too_big(len(args), limits.ARGS_BYTES_MAX)
        code = self.deployed.current(app.id)
        assert code is not None, "it has this function"
        key = None
        if event_id is not None and signature.kind == "mutation":
            # As text: arguments are in one form already, and decoding 4 MiB takes half a second.
            digest = digest_steps([signature.name, args.decode()])
            key = replay_key(event_id, _who_sends(event_id, identity, ip), digest)
        named = f"{app.id}/{signature.name}/{key or new_uuid(self._runtime)}"
        return Asked(
            app=app,
            code=code,
            signature=signature,
            args=args,
            identity=identity,
            ip=ip or identity.ip,
            origin=origin or identity.origin,
            key=key,
            seed=self._seed(named),
            trace=trace or new_uuid(self._runtime).replace("-", ""),
        )

    def cursors(self, asked: Asked) -> Cursors:
        """The places in what a call lists."""
        return Cursors(self._seed_key, asked.app.id, asked.signature, asked.args)

    def _seed(self, named: str) -> str:
        # Keyed BLAKE2b is a MAC by itself; an HMAC of OpenSSL takes 20 µs to set up.
        return blake2b(named.encode(), key=self._seed_key(), digest_size=32).hexdigest()

    def _not_found(self, app_id: AppId, name: str, identity: Identity) -> NotFound:
        if self.deployed.current(app_id) is None:
            return not_found(name, "The app has no functions; `trice deploy` brings them.")
        known = [
            each.name
            for each in self.deployed.signatures(app_id).values()
            if not each.is_internal or identity.is_admin
        ]
        last = name.rpartition(".")[2]
        same = sorted({each for each in known if each.rpartition(".")[2] == last})
        alike = (
            get_close_matches(name[:_NEAR_CHARS_MAX], known, 3, 0.75)
            if len(known) <= _NEAR_MAX
            else []
        )
        near = list(dict.fromkeys((*same, *alike)))[:3]
        return not_found(name, f"Is it {' or '.join(near)}?" if near else "", near=near)

    def inner(self, asked: Asked, name: str, args: bytes) -> Asked:
        """A call that an action makes: by the same caller, and nobody asks whether they may."""
        signature = self.deployed.signatures(asked.app.id).get(name)
        if signature is None:
            raise not_found(name, "The action that runs it is of an older deployment.")
        if signature.route is not None:
            raise not_found(name, "Functions do not run endpoints.")
        if asked.depth >= limits.RUN_DEPTH_MAX:
            raise LimitExceeded(
                "parameter-limit-exceeded",
                f"Functions run each other {limits.RUN_DEPTH_MAX} deep at most.",
            )
        made = self._asked(
            *(asked.app, signature, args, asked.identity, None, asked.ip, asked.origin, asked.trace)
        )
        return replace(made, depth=asked.depth + 1)


def not_found(name: str, told: str = "", **hint: Any) -> NotFound:
    """The error for a function that cannot be called by this name."""
    message = f"There is no function {brief(name)!r} here. {told}".strip()
    return NotFound("function-not-found", message, {"function": brief(name), **hint})


def args_too_big(size_bytes: int, most: int) -> LimitExceeded:
    """The error for arguments of too many bytes."""
    return LimitExceeded(
        "call-too-big",
        f"The arguments have {size_bytes:,} bytes as JSON; {most:,} are accepted here.",
        {"bytes": size_bytes, "bytes-max": most},
    )


def bad_args(expected: str, given: Any, *path: str) -> InvalidInput:
    """The error for arguments of the wrong form."""
    place = ".".join(("args", *path))
    return InvalidInput(
        "bad-args",
        f"`{place}` must be {expected}.",
        {"path": ".".join(path), "expected": expected, "got": brief(given)},
    )


def _who_sends(event_id: EventId, identity: Identity, ip: str) -> str:
    """The name by which a mutation is recognised. Guests have one name: they are apart as far as
    nobody guesses their event ids, so a short one counts within a network only."""
    if identity.kind == "guest" and len(event_id) < limits.EVENT_ID_CHARS_MIN:
        return f"{identity.name} {network_of(ip or identity.ip)}"
    return identity.name


def _check_caller(signature: Signature, identity: Identity) -> None:
    if identity.is_admin or signature.auth in (None, "none", "optional"):
        return
    if signature.auth == "admin":
        raise PermissionDenied(
            "permission-denied",
            f"{signature.name} is for those who have the admin token.",
            {"function": signature.name},
        )
    if identity.user_id is None:
        raise PermissionDenied(
            "signed-out",
            f"{signature.name} is for signed-in users; sign in, then call it again.",
            {"function": signature.name},
        )


def args_key(args: dict[str, Any]) -> bytes:
    """JSON of arguments, the same for equal ones; raises InvalidInput("bad-args")."""
    try:
        return dumps_compact(args, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as cause:
        expected = "JSON with whole numbers of at most 64 bits, and not deeper than 250"
        raise bad_args(expected, None) from cause
