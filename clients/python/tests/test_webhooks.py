"""Deliveries of webhooks: the file of cases that the server has too, keys, and a real one."""

from __future__ import annotations

import json
import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from client_apps import make_app
from support.patience import WAIT_S
from support.serving import serving
from trice_client import AsyncClient, Client, TriceError, new_id, webhooks
from trice_client._webhooks import ASK_AGAIN_S, KnownKeys

TOLD = json.loads(
    (Path(__file__).parents[3] / "spec/webhook-signatures.json").read_text(encoding="utf-8")
)
KEYS = TOLD["jwks"]["keys"]
MADE = TOLD["made"]


@pytest.mark.rule("PY70")
@pytest.mark.parametrize("case", TOLD["cases"], ids=lambda case: case["name"])
def test_only_what_the_server_signed_lately_is_believed(case: dict[str, Any]) -> None:
    def verify(body: bytes | str) -> webhooks.WebhookBody:
        return webhooks.verify(case["signature"], body, KEYS, received_s=case["receivedS"])

    for body in (case["body"], case["body"].encode()):
        if case["says"] == "accepted":
            assert verify(body) == json.loads(case["body"])
            continue
        with pytest.raises(TriceError, match=case["says"]) as refused:
            verify(body)
        assert (refused.value.code, refused.value.status) == ("signature-invalid", 401)


@pytest.mark.rule("PY70")
def test_the_window_is_the_receivers_and_now_is_now() -> None:
    given = (MADE["signature"], MADE["body"], KEYS)
    assert webhooks.verify(*given, received_s=MADE["timeS"] + 3_600, tolerance_s=3_600)
    with pytest.raises(TriceError, match="too old"):
        webhooks.verify(*given)
    with pytest.raises(TriceError, match="missing"):
        webhooks.verify(None, MADE["body"], KEYS)
    wrong = [{**KEYS[0], "kty": "RSA"}], [{**KEYS[0], "x": "AA"}], [{"kid": KEYS[0]["kid"]}]
    for keys in wrong:
        with pytest.raises(TriceError, match="not made by the server"):
            webhooks.verify(MADE["signature"], MADE["body"], keys, received_s=MADE["timeS"])


@pytest.mark.rule("PY70")
def test_without_cryptography_the_error_says_what_to_install() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "cryptography.exceptions", None)
        with pytest.raises(TriceError, match=r"tricedb-client\[webhooks\]") as refused:
            webhooks.verify(MADE["signature"], MADE["body"], KEYS, received_s=MADE["timeS"])
    assert refused.value.code == "package-missing"


@pytest.mark.rule("PY71")
@pytest.mark.anyio
async def test_keys_are_asked_for_once() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, json=TOLD["jwks"])

    transport = httpx.MockTransport(answer)
    async with AsyncClient("app", transport=transport) as db:
        for _ in range(3):
            await db.as_guest().webhooks.verify(
                MADE["signature"], MADE["body"], received_s=MADE["timeS"]
            )
        for kid in ("1", "2", "3"):  # claims of strangers cost no requests
            with pytest.raises(TriceError, match="no such key"):
                await db.webhooks.verify(
                    f"t={MADE['timeS']},kid={kid},v1=00", "{}", received_s=MADE["timeS"]
                )
    assert asked == ["/.well-known/webhooks/jwks.json"]


@pytest.mark.rule("PY71")
def test_a_new_key_is_asked_for_after_a_while() -> None:
    now = [0.0]
    known = KnownKeys(lambda: now[0])
    assert known.find("1") is None
    known.note([{"kid": "1"}])
    assert known.find("1") == known.find("2") == [{"kid": "1"}]
    now[0] = ASK_AGAIN_S
    assert known.find("1") is not None and known.find("2") is None


@contextmanager
def receiving() -> Iterator[tuple[str, queue.Queue[tuple[str | None, bytes]]]]:
    """A receiver of webhooks: its URL, and what came."""
    came: queue.Queue[tuple[str | None, bytes]] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            came.put((self.headers["instant-signature"], body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            """Nothing: the test tells."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hook", came
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.rule("PY72")
def test_a_delivery_of_a_server_tells_what_changed(tmp_path: Path) -> None:
    with (
        serving(tmp_path, "--port", "0", "--webhooks-private") as (_, url),
        receiving() as (hook, came),
    ):
        app = make_app(url)
        made = {"url": hook, "namespaces": ["todos"], "actions": ["create"]}
        headers = {"authorization": f"Bearer {app.admin_token}"}
        asked = httpx.post(f"{url}/dash/apps/{app.id}/webhooks", json=made, headers=headers)
        assert asked.status_code == 200, asked.text
        with app.sync() as db, Client(app.id, server=url) as receiver:
            todo = new_id()
            db.transact(db.tx.todos[todo].create({"title": "Milk"}))
            signature, body = came.get(timeout=WAIT_S)
            payload = receiver.webhooks.receive(signature, body)
            (record,) = payload["data"]
            assert (record["action"], record["id"], record["before"]) == ("create", todo, None)
            assert record["after"] is not None and record["after"]["title"] == "Milk"
            with pytest.raises(TriceError, match="does not hold"):
                receiver.webhooks.receive(signature, body + b" ")
