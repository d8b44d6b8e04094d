"""Accounts as callers of HTTP routes."""

from __future__ import annotations

from typing import Any


def bearer(secret: str) -> dict[str, str]:
    """Headers with a token."""
    return {"authorization": f"Bearer {secret}"}


async def account_of(
    stage: Any, email: str = "ann@example.com", **options: Any
) -> tuple[Any, dict[str, str]]:
    """An account, made if there is none, and headers with a new personal token of it."""
    accounts = stage.asgi.state.accounts
    account = accounts.find_by_email(email) or await accounts.create(email)
    _, secret = await accounts.make_token(account, name="ci", **options)
    return account, bearer(secret)


def problem_of(answer: Any) -> tuple[int, str, str | None]:
    """Status, code and kind of record of an answer that refuses."""
    body = answer.json()
    return answer.status, body["type"], body["hint"].get("record-type")
