"""Random histories of signing in and out, held against a naive model. The seed is in the name."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from support.sign_in import UNKNOWN, SignIns, problem
from trice import auth_limits
from trice.rate_limit import RateLimit

EMAILS = [f"{name}@example.com" for name in ("ann", "bob", "cy")]
MINUTE_MS = 60_000
EXPIRY_MINUTES = 30
STEPS = 60


@dataclass
class Model:
    """What should be true.

    users    id → fields
    tokens   token → user id; those that were signed out stay, with None
    codes    (address, code, made at), those that may still work
    """

    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    tokens: dict[str, str | None] = field(default_factory=dict)
    codes: list[tuple[str, str, int]] = field(default_factory=list)

    def by_email(self, email: str) -> str | None:
        return next((id for id, user in self.users.items() if user.get("email") == email), None)

    def add_code(self, email: str, code: str, now_ms: int) -> None:
        mine = [each for each in self.codes if each[0] == email]
        fresh = [each for each in mine if now_ms - each[2] < (EXPIRY_MINUTES + 1) * MINUTE_MS]
        kept = fresh[-(auth_limits.MAGIC_CODES_PER_EMAIL_MAX - 1) :]
        self.codes = [each for each in self.codes if each[0] != email] + kept
        self.codes.append((email, code, now_ms))

    def use_code(self, email: str, code: str, now_ms: int) -> str:
        for each in self.codes:
            if each[:2] == (email, code):
                self.codes.remove(each)
                is_fresh = now_ms - each[2] < (EXPIRY_MINUTES + 1) * MINUTE_MS
                return "right" if is_fresh else "record-expired"
        return "record-not-found"

    def delete(self, user_id: str) -> None:
        """A user, the guests linked to it, and so on; with their tokens."""
        self.users.pop(user_id)
        for token, owner in self.tokens.items():
            if owner == user_id:
                self.tokens[token] = None
        for id, user in list(self.users.items()):
            if user.get("linkedPrimaryUser") == user_id and id in self.users:
                self.delete(id)


class History:
    """One random history: each step asks the server and the model."""

    def __init__(self, ins: SignIns, rng: random.Random) -> None:
        self.ins = ins
        self.rng = rng
        self.model = Model()

    @property
    def now_ms(self) -> int:
        return self.ins.stage.runtime.now

    async def step(self) -> None:
        steps = [self.send, self.send, self.verify, self.verify, self.verify, self.guest]
        steps += [self.sign_out, self.check_token, self.delete, self.admin_token, self.wait]
        steps += [self.sign_out_all]
        await self.rng.choice(steps)()

    async def send(self) -> None:
        email = self.rng.choice(EMAILS)
        self.model.add_code(email, await self.ins.send(email), self.now_ms)

    async def verify(self) -> None:
        model, email = self.model, self.rng.choice(EMAILS)
        _, code, _ = self.rng.choice([*model.codes, (email, "999999x", 0)])
        token = self.token() if self.rng.random() < 0.6 else None
        answer = await self.ins.runtime(
            "verify_magic_code", email=email, code=code, refresh_token=token
        )
        holder = None if token is None else model.tokens.get(token)
        if token is not None and holder is None:
            assert problem(answer) == (400, "record-not-found", "app-user")
            return
        used = model.use_code(email, code, self.now_ms)
        if used != "right":
            assert problem(answer) == (400, used, "app-user-magic-code")
            return
        assert answer.status == 200, answer.body
        is_guest = holder is not None and model.users[holder]["type"] == "guest"
        expected = model.by_email(email)
        assert answer.json()["created"] is (expected is None)
        user = answer.json()["user"]
        if expected is None:
            assert (user["id"] == holder) is is_guest
            before = model.users.get(user["id"], {})
            model.users[user["id"]] = {**before, "email": email, "type": "user"}
        else:
            assert user["id"] == expected
            if is_guest:
                model.users[holder]["linkedPrimaryUser"] = expected
        self.hold(user)

    async def guest(self) -> None:
        user = await self.ins.guest()
        assert user["id"] not in self.model.users
        self.model.users[user["id"]] = {"type": "guest"}
        self.hold(user)

    async def sign_out(self) -> None:
        token = self.token()
        assert (await self.ins.sign_out(token)).json() == {}
        if token in self.model.tokens:
            self.model.tokens[token] = None

    async def sign_out_all(self) -> None:
        user_id = self.user_id()
        await self.ins.admin("sign_out", {"id": user_id})
        for token, owner in self.model.tokens.items():
            if owner == user_id:
                self.model.tokens[token] = None

    async def delete(self) -> None:
        user_id = self.user_id()
        answer = await self.ins.admin(f"users?id={user_id}", method="DELETE")
        if user_id not in self.model.users:
            assert answer.json() == {"deleted": None}
            return
        assert answer.json()["deleted"]["id"] == user_id
        self.model.delete(user_id)

    async def admin_token(self) -> None:
        email = self.rng.choice(EMAILS)
        expected = self.model.by_email(email)
        answer = (await self.ins.admin("refresh_tokens", {"email": email})).json()
        assert answer["created"] is (expected is None)
        user = answer["user"]
        if expected is None:
            self.model.users[user["id"]] = {"email": email, "type": None}
        assert user["id"] == (expected or user["id"])
        self.hold(user)

    async def check_token(self) -> None:
        token = self.token()
        owner = self.model.tokens.get(token)
        user = await self.ins.user_of(token)
        assert (None if user is None else user["id"]) == owner

    async def wait(self) -> None:
        self.ins.stage.runtime.advance(self.rng.choice([1, MINUTE_MS, EXPIRY_MINUTES * MINUTE_MS]))

    def token(self) -> str:
        return self.rng.choice([*self.model.tokens, UNKNOWN])

    def user_id(self) -> str:
        return self.rng.choice([*self.model.users, UNKNOWN])

    def hold(self, user: dict[str, Any]) -> None:
        """Take the token of an answer, which must show the user as the model has it."""
        assert user["refresh_token"] not in self.model.tokens
        self.model.tokens[user["refresh_token"]] = user["id"]
        self.check(user)

    def check(self, user: dict[str, Any]) -> None:
        expected = self.model.users[user["id"]]
        for label in ("email", "type", "linkedPrimaryUser"):
            assert user.get(label) == expected.get(label)
        assert user["isGuest"] is (expected["type"] == "guest")

    async def check_all(self) -> None:
        rows = await self.ins.rows("$users")
        assert {row["id"] for row in rows} == set(self.model.users)
        alive = {token for token, owner in self.model.tokens.items() if owner is not None}
        assert len(await self.ins.rows("$userRefreshTokens")) == len(alive)
        for token in alive:
            user = await self.ins.user_of(token)
            assert user is not None
            self.check(user)
        assert len(await self.ins.rows("$magicCodes")) == len(self.model.codes)


@pytest.mark.rule("A6", "A7", "A8", "A22", "A41", "A42", "A43", "A47", "A76")
@pytest.mark.parametrize("seed", range(8))
async def test_random_histories(open_stage, monkeypatch, seed):
    plenty = RateLimit(10_000, 10_000, 1_000)
    for name in ("SENDS", "VERIFIES", "SIGN_INS"):
        monkeypatch.setattr(f"trice.auth.throttle.{name}", plenty)
    stage = await open_stage()
    ins = SignIns(stage)
    await ins.use_app(settings={"code_expiry_minutes": EXPIRY_MINUTES})
    history = History(ins, random.Random(seed))
    for _ in range(STEPS):
        await history.step()
    await history.check_all()
