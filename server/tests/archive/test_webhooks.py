"""Webhooks in archives: they come disabled, with their app, and go out."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from support.archive_stage import Stage, open_stage, small_shop
from trice import webhook_limits
from trice.apps.registry import Registry
from trice.protocol.ids import AppId


def webhook(url: str, **changed: Any) -> dict[str, Any]:
    """A webhook as Instant writes it."""
    return {
        "sink": {"url": url},
        "namespaces": ["goods"],
        "actions": ["create", "delete"],
        "status": "active",
        **changed,
    }


GOOD = webhook("https://hooks.example/goods")


@pytest.mark.rule("AR110", "AR111")
async def test_webhooks_come_disabled(stage: Stage) -> None:
    shop = small_shop()
    refused = [
        webhook("https://hooks.example/lost", namespaces=["nothing"]),
        webhook("https://hooks.example/sold", actions=["sell"]),
        webhook("ftp://hooks.example"),
        {"url": 5},
        "text",
    ]
    shop.more = {"webhooks": [GOOD, *refused, GOOD]}
    report = await stage.load(shop)
    (came,) = await stage.webhooks(report.app_id)
    assert (came.url, came.namespaces, came.actions) == (
        "https://hooks.example/goods",
        ("goods",),
        ("create", "delete"),
    )
    assert came.status == "disabled" and "import" in (came.disabled_reason or "")
    told = [f"{note.what} {note.next}" for note in report.notes]
    (lost,) = (text for text in told if "did not come" in text and "hooks.example" in text)
    for part in ("/lost (", "nothing", "/sold (", "sell", "ftp://hooks.example"):
        assert part in lost
    (next_step,) = (text for text in told if "are disabled" in text)
    assert f"POST /dash/apps/{report.app_id}/webhooks/ID/enable" in next_step


@pytest.mark.rule("AR110")
async def test_webhooks_of_a_replaced_app_stay(stage: Stage) -> None:
    shop = small_shop()
    shop.more = {"webhooks": [GOOD]}
    app_id = (await stage.load(shop)).app_id
    before = await stage.webhooks(app_id)
    shop.more = {"webhooks": [GOOD, webhook("https://hooks.example/new")]}
    report = await stage.load(shop, replaces=True)
    after = await stage.webhooks(app_id)
    assert before[0] in after
    assert {each.url for each in after} == {
        "https://hooks.example/goods",
        "https://hooks.example/new",
    }
    assert [note.what for note in report.notes if "1 webhooks came" in note.what]


@pytest.mark.rule("AR110")
async def test_there_are_as_many_as_an_app_may_have(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_limits, "STORED_MAX", 3)
    shop = small_shop()
    shop.more = {"webhooks": [webhook(f"https://hooks.example/{n}") for n in range(5)]}
    report = await stage.load(shop)
    assert len(await stage.webhooks(report.app_id)) == 3
    assert [note for note in report.notes if "3 webhooks at most" in note.what]


@pytest.mark.rule("AR112")
async def test_they_come_with_their_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The moment between the rename of the file and the row in the list of apps."""
    shop = small_shop()
    shop.more = {"webhooks": [GOOD]}

    async def fail(*_: Any, **__: Any) -> None:
        raise OSError("power cut")

    async with open_stage(tmp_path / "data") as stage:
        with monkeypatch.context() as patch:
            patch.setattr(Registry, "put", fail)
            with pytest.raises(OSError, match="power cut"):
                await stage.load(shop)
    app_id = AppId(shop.app_id or "")
    for _ in range(2):
        async with open_stage(tmp_path / "data") as stage:
            assert stage.registry.find(app_id) is not None
            assert [each.url for each in await stage.webhooks(app_id)] == [GOOD["sink"]["url"]]


@pytest.mark.rule("AR113")
async def test_webhooks_go_out_and_come_back(stage: Stage, tmp_path: Path) -> None:
    shop = small_shop()
    shop.more = {"webhooks": [GOOD, webhook("http://10.0.0.1/x", actions=["update"])]}
    app_id = (await stage.load(shop)).app_id
    out = tmp_path / "out.zip"
    await stage.export(app_id, out)
    with zipfile.ZipFile(out) as archive:
        config = json.loads(archive.read("config.json"))
    # Ids that are made in one moment have no order.
    written = sorted(config["webhooks"], key=lambda each: each["sink"]["url"], reverse=True)
    assert written == [{**each, "status": "disabled"} for each in shop.more["webhooks"]]
    async with open_stage(tmp_path / "other") as other:
        await other.load(out)
        came = await other.webhooks(app_id)
        assert {each.url: each.actions for each in came} == {
            "https://hooks.example/goods": ("create", "delete"),
            "http://10.0.0.1/x": ("update",),
        }
