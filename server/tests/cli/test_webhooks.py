"""`trice webhooks` on a running server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from support.http_wire import until
from support.serving import post, serving
from support.webhook_receiver import receiving
from trice.cli.main import main


@pytest.mark.rule("WH50")
async def test_a_webhook_from_the_command_line(tmp_path: Path) -> None:
    async with receiving() as receiver:
        with serving(tmp_path, "--port", "0", "--webhooks-private") as (_, url):
            app = post(f"{url}/dash/apps/ephemeral", json={"title": "x"}).json()["app"]
            variables = {
                "TRICE_URL": url,
                "TRICE_APP": app["id"],
                "TRICE_TOKEN": app["admin-token"],
            }

            def run(*words: str, **more: Any) -> Result:
                return CliRunner(env=variables).invoke(main, ["webhooks", *words], **more)

            def write(number: int) -> None:
                steps = [["update", "goods", f"00000000-0000-4000-8000-{number:012d}", {"n": 1}]]
                headers = {"app-id": app["id"], "authorization": f"Bearer {app['admin-token']}"}
                sent = post(f"{url}/admin/transact", json={"steps": steps}, headers=headers)
                assert sent.status_code == 200

            assert run("list").output == "No webhooks.\n"
            refused = await asyncio.to_thread(run, "create", receiver.url(), "-n", "goods")
            assert refused.exit_code == 1
            assert "Could not find matching table for goods" in refused.output
            write(0)
            made = run("create", receiver.url(), "-n", "goods", "-a", "create", "--json")
            webhook = json.loads(made.output)
            assert webhook["actions"] == ["create"]
            write(1)
            await receiver.deliveries(1)
            await until(lambda: "success" in run("events", webhook["id"]).output)
            (event,) = json.loads(run("events", webhook["id"], "--json").output)
            assert (event["attempts"], event["latest"]) == (1, "200")
            assert (
                run("resend", webhook["id"], event["isn"]).output == f"{event['isn']} is queued.\n"
            )
            await receiver.deliveries(2)
            assert run("disable", webhook["id"], "--reason", "night").exit_code == 0
            assert "disabled" in run("list").output and "night" in run("list").output
            assert run("enable", webhook["id"]).output == f"{webhook['id']} is enabled.\n"
            kept = run("delete", webhook["id"], input="n\n")
            assert (kept.exit_code, "Delete the webhook" in kept.output) == (1, True)
            assert run("delete", webhook["id"], "--yes").exit_code == 0
            assert run("list").output == "No webhooks.\n"
        assert "does not answer" in run("list").output
    assert CliRunner().invoke(main, ["webhooks", "list"]).exit_code == 2
