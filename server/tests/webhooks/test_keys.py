"""The key of deliveries, and the tokens that fetch payloads."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from trice.webhooks import keys
from trice.webhooks.keys import BUILT_IN_KIDS, Claim, Keys, kid_of

SIGNATURES = Path(__file__).parents[3] / "spec" / "webhook-signatures.json"
BASE_URL = "http://trice.test"


@pytest.mark.rule("WH20")
def test_no_key_has_an_id_that_clients_have_built_in(monkeypatch: pytest.MonkeyPatch) -> None:
    own = kid_of(bytes(32))
    monkeypatch.setattr(keys, "BUILT_IN_KIDS", BUILT_IN_KIDS | {own})
    assert kid_of(bytes(32)) == str(int(own) + 1)
    assert {"1034696293", "503090235"} == BUILT_IN_KIDS


@pytest.mark.rule("WH20")
def test_receivers_check_what_the_server_signs() -> None:
    """Clients have the same file: clients/python/tests/test_webhooks.py."""
    told = json.loads(SIGNATURES.read_text(encoding="utf-8"))
    own = Keys(lambda: bytes(range(32)))
    assert own.jwks() == told["jwks"]
    body, time_s = told["made"]["body"].encode(), told["made"]["timeS"]
    assert own.signature(body, now_ms=time_s * 1000 + 999) == told["made"]["signature"]


CLAIM = Claim("app", "webhook", "0/0/2")


@pytest.mark.rule("WH31")
def test_only_our_own_token_for_this_payload_is_accepted() -> None:
    own = Keys(lambda: bytes(range(32)))
    token = own.token(CLAIM, issuer=BASE_URL, now_ms=1_000_000)
    own.check_token(token, CLAIM, now_ms=1_000_000 + 3_599_999)
    head, body, signature = token.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    stranger = Keys(lambda: bytes(32)).token(CLAIM, issuer=BASE_URL, now_ms=1_000_000)
    for wrong, claim, now_ms in (
        (token, CLAIM, 1_000_000 + 3_600_000),
        (token, Claim("other", "webhook", "0/0/2"), 1_000_000),
        (token, Claim("app", "other", "0/0/2"), 1_000_000),
        (token, Claim("app", "webhook", "0/0/3"), 1_000_000),
        (stranger, CLAIM, 1_000_000),
        (stranger.split(".")[0] + f".{body}.{signature}", CLAIM, 1_000_000),
        (f"{head}.{body}.{signature[:-4]}", CLAIM, 1_000_000),
        (f"{head}.{body}.", CLAIM, 1_000_000),
        (f"{head}.{body}", CLAIM, 1_000_000),
        (f"{head}.{body}x.{signature}", CLAIM, 1_000_000),
        (f"{none}.{body}.", CLAIM, 1_000_000),
        ("eyJ", CLAIM, 1_000_000),
        ("eyJ.ö.ö", CLAIM, 1_000_000),
    ):
        with pytest.raises(Exception, match="The token is not accepted") as failure:
            own.check_token(wrong, claim, now_ms=now_ms)
        assert failure.value.hint["data-type"] == "jwt"  # type: ignore[attr-defined]
