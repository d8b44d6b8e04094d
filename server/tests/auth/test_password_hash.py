"""Hashes of passwords: their cost, and how many are made at once."""

from __future__ import annotations

import asyncio
import threading

import pytest

from support.patience import WAIT_S
from support.runtime import FakeRuntime
from trice import auth_limits
from trice.auth.passwords import hash as password_hash
from trice.auth.passwords.hash import NOBODYS_HASH, PasswordHashes
from trice.errors import Unavailable


@pytest.mark.rule("A158")
async def test_hashes_are_argon2id_with_the_stated_cost_and_a_salt_each():
    hashes = PasswordHashes(FakeRuntime())
    first, second = await hashes.make(b"secret words"), await hashes.make(b"secret words")
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert first != second
    assert await hashes.is_match(b"secret words", first)
    assert not await hashes.is_match(b"secret word", first)
    assert not hashes.is_outdated(first)


@pytest.mark.rule("A157")
async def test_the_hash_of_nobody_costs_what_real_ones_cost_and_matches_nothing():
    hashes = PasswordHashes(FakeRuntime())
    assert not hashes.is_outdated(NOBODYS_HASH)
    assert not await hashes.is_match(b"", None)
    assert not await hashes.is_match(b"", NOBODYS_HASH)


@pytest.mark.rule("A168")
async def test_few_are_made_at_once_and_too_many_are_refused(monkeypatch):
    monkeypatch.setattr(auth_limits, "PASSWORD_HASHES_WAITING_MAX", 5)
    gate, lock = threading.Event(), threading.Lock()
    busy, most = 0, 0

    class Slow:
        def hash(self, password, *, salt):
            nonlocal busy, most
            with lock:
                busy += 1
                most = max(most, busy)
            gate.wait(WAIT_S)
            with lock:
                busy -= 1
            return password.decode()

    monkeypatch.setattr(password_hash, "make_hasher", Slow)

    hashes = PasswordHashes(FakeRuntime())
    begun = [asyncio.ensure_future(hashes.make(b"%d" % number)) for number in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable) as failure:
        await hashes.make(b"one too many")
    assert failure.value.code == "overloaded"
    # Nobody waits for this one any more; its thread is busy all the same, and counts.
    begun[0].cancel()
    await asyncio.gather(begun[0], return_exceptions=True)
    with pytest.raises(Unavailable):
        await hashes.make(b"one too many")
    gate.set()
    assert await asyncio.gather(*begun[1:]) == ["1", "2", "3", "4"]
    assert await hashes.make(b"again") == "again"
    assert most <= auth_limits.PASSWORD_HASHES_AT_ONCE
