"""The documents of providers: discovery documents and key sets, as far as they are used.

The admin of an app names these documents, and they may be large: only the fields that sign-in reads
are kept.

source   OpenID Connect Discovery §3; RFC 7517 §4; spec/auth.md A98, A245-A247
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from trice import auth_limits
from trice.auth.oauth.id_tokens import ALGORITHMS, DEFAULT_ALGORITHMS
from trice.auth.oauth.outgoing import Requests, oauth_error
from trice.errors import PermissionDenied
from trice.runtime import Runtime

_KINDS_OF_KEYS: Final = ("RSA", "EC", "OKP")
_MEMBERS: Final = ("kty", "use", "alg", "kid", "crv", "n", "e", "x", "y")
"""The members of a public key; certificates and private members are left out."""

_ENTRY_BYTES: Final = 1_000
_KEY_BYTES: Final = 500
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Discovery:
    """The discovery document of a provider; "" for what it leaves out."""

    authorization_endpoint: str
    token_endpoint: str
    userinfo_endpoint: str
    jwks_uri: str
    issuer: str
    algorithms: tuple[str, ...]

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Discovery:
        def text(key: str) -> str:
            value = document.get(key)
            return (
                value if isinstance(value, str) and len(value) <= auth_limits.URL_CHARS_MAX else ""
            )

        found = document.get("id_token_signing_alg_values_supported")
        listed = (
            [each for each in found if isinstance(each, str)] if isinstance(found, list) else []
        )
        return cls(
            text("authorization_endpoint"),
            text("token_endpoint"),
            text("userinfo_endpoint"),
            text("jwks_uri"),
            text("issuer"),
            tuple(each for each in ALGORITHMS if each in listed) if listed else DEFAULT_ALGORITHMS,
        )

    @property
    def size_bytes(self) -> int:
        urls = (self.authorization_endpoint, self.token_endpoint, self.userinfo_endpoint)
        return sum(map(len, (*urls, self.jwks_uri, self.issuer)))


@dataclass(frozen=True, slots=True)
class KeySet:
    """Public keys, in the order of the document: `{"kty", "kid"?, "use"?, "alg"?, …}`."""

    keys: tuple[Mapping[str, Any], ...]

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> KeySet:
        found = document.get("keys")
        listed = found[: auth_limits.JWKS_KEYS_MAX] if isinstance(found, list) else []
        return cls(tuple(kept for each in listed if (kept := _public_key(each)) is not None))

    @property
    def size_bytes(self) -> int:
        return sum(_KEY_BYTES + sum(map(len, key.values())) for key in self.keys)


def _public_key(key: Any) -> Mapping[str, Any] | None:
    """The members of a key that we use; None for a key that we cannot use."""
    if not isinstance(key, dict) or key.get("kty") not in _KINDS_OF_KEYS:
        return None
    kept = {member: key[member] for member in _MEMBERS if member in key}
    for value in kept.values():
        if not isinstance(value, str) or len(value) > auth_limits.JWK_MEMBER_CHARS_MAX:
            return None
    # A key may be published for other purposes than "verify".
    ends = key.get("key_ops", ["verify"])
    return kept if isinstance(ends, list) and "verify" in ends else None


@dataclass(slots=True)
class _Entry:
    """One document, or the reason why there is none. `lock` is held while it is fetched.

    owner   the app that asked for it first
    """

    lock: asyncio.Lock
    owner: str
    found: Any = None
    problem: str = ""
    read_ms: float = 0
    until_ms: float = 0
    size_bytes: int = _ENTRY_BYTES


class Documents:
    """The documents of providers that were read.

    Holds at most PROVIDER_DOCUMENTS_MAX documents and PROVIDER_DOCUMENTS_BYTES_MAX of
    `auth_limits`, each for PROVIDER_DOCUMENT_MS; failures for PROVIDER_RETRY_MS. Callers that want
    one document at the same time wait for one request. If there are too many, the app with most
    loses its oldest.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._entries: dict[tuple[str, str], _Entry] = {}

    async def discovery(self, url: str, requests: Requests) -> Discovery:
        """The discovery document at `url`, fetched or remembered.

        raises   PermissionDenied("oauth-error"), Unavailable("overloaded")
        """
        return await self._get(("discovery", url), Discovery.parse, requests)

    async def keys(self, url: str, requests: Requests) -> KeySet:
        """The key set at `url`, fetched or remembered. Raises as `discovery`."""
        return await self._get(("keys", url), KeySet.parse, requests)

    async def newer_keys(self, url: str, requests: Requests) -> KeySet:
        """The key set at `url`, fetched again unless that was just done."""
        key = ("keys", url)
        entry = self._entry(key, requests)
        async with entry.lock:
            since_ms = self._runtime.monotonic_ms() - entry.read_ms
            if entry.until_ms == 0 or since_ms >= auth_limits.PROVIDER_KEYS_RETRY_MS:
                await self._fetch(key, entry, KeySet.parse, requests)
        if entry.found is None:
            raise oauth_error(entry.problem)
        found: KeySet = entry.found
        return found

    async def _get(
        self,
        key: tuple[str, str],
        parse: Callable[[Mapping[str, Any]], T],
        requests: Requests,
    ) -> T:
        entry = self._entry(key, requests)
        if self._runtime.monotonic_ms() >= entry.until_ms:
            async with entry.lock:
                if self._runtime.monotonic_ms() >= entry.until_ms:
                    await self._fetch(key, entry, parse, requests)
        if entry.found is None:
            raise oauth_error(entry.problem)
        found: T = entry.found
        return found

    def _entry(self, key: tuple[str, str], requests: Requests) -> _Entry:
        entry = self._entries.get(key)
        if entry is None:
            while len(self._entries) >= auth_limits.PROVIDER_DOCUMENTS_MAX:
                self._forget_one()
            entry = self._entries[key] = _Entry(asyncio.Lock(), requests.app_id)
        return entry

    async def _fetch(
        self,
        key: tuple[str, str],
        entry: _Entry,
        parse: Callable[[Mapping[str, Any]], Any],
        requests: Requests,
    ) -> None:
        found, problem = None, "Unable to fetch OAuth configuration"
        try:
            # If this is cancelled, or raises anything else, the known document stays.
            answer = await requests.get(key[1])
            if answer.is_ok and isinstance(answer.body, dict) and answer.body:
                found = parse(answer.body)
        except PermissionDenied as failure:
            problem = failure.message
        entry.found, entry.problem = found, problem
        entry.size_bytes = _ENTRY_BYTES + (0 if found is None else found.size_bytes)
        now_ms = self._runtime.monotonic_ms()
        life_ms = (
            auth_limits.PROVIDER_RETRY_MS if found is None else auth_limits.PROVIDER_DOCUMENT_MS
        )
        entry.read_ms, entry.until_ms = now_ms, now_ms + life_ms
        while self.size_bytes > auth_limits.PROVIDER_DOCUMENTS_BYTES_MAX:
            self._forget_one()

    @property
    def size_bytes(self) -> int:
        """The estimated size of all documents."""
        return sum(entry.size_bytes for entry in self._entries.values())

    def _forget_one(self) -> None:
        """Forget the oldest document of the app that has most."""
        sizes: Counter[str] = Counter()
        for entry in self._entries.values():
            sizes[entry.owner] += entry.size_bytes
        owner = max(sizes, key=lambda each: sizes[each])
        del self._entries[next(k for k, each in self._entries.items() if each.owner == owner)]
