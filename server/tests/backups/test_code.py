"""Code of functions in backups: bundles that deployments name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from support.backup_stage import check, everything, objects, put_back, vault_in
from support.deploy_stage import DeployStage, bundle_of
from support.patience import WAIT_S
from support.runtime import FakeRuntime
from trice import function_limits as limits
from trice.apps.apps import App
from trice.backups import make as making
from trice.backups.folder_vault import FolderVault
from trice.backups.listing import newest_name, read_manifest
from trice.backups.make import Made, Source, back_up
from trice.backups.manifest import AppPart, dump_manifest
from trice.backups.ship import Shipper
from trice.backups.vaults import BACKUPS, object_key
from trice.errors import InvalidInput
from trice.files.threads import FileThreads
from trice.metrics import BackupCounts
from trice.protocol.ids import AppId
from trice.server import backup_source, open_blobs


class Server(DeployStage):
    """A server with an app into which code is deployed, and that is backed up."""

    @asynccontextmanager
    async def source(self) -> AsyncIterator[Source]:
        threads = FileThreads()
        blobs = open_blobs(self.folder, None, threads=threads, runtime=self.runtime)
        try:
            yield backup_source(self.folder, blobs, runtime=self.runtime)
        finally:
            await blobs.close()
            threads.close()

    async def back_up(self, vault: FolderVault, **options: Any) -> Made:
        self.runtime.advance(1_000)
        async with self.source() as source:
            return await back_up(vault, source, **options)

    async def deploy_to(self, app: App, *names: str) -> None:
        bundle = bundle_of(*names)
        await self.deployments.take(app, bundle.raw)
        await self.deployments.deploy(app, bundle.hash)

    @property
    def text(self) -> str:
        """What the unpacked code in force has."""
        code = self.deployments.current(self.app.id)
        assert code is not None
        return (Path(code.path) / "functions" / "names.txt").read_text()


Opens = Callable[[Path, str], Any]


@pytest.fixture
def opens(exits: AsyncExitStack) -> Opens:
    """Opens a data directory that has an app, as a server does at its start."""

    async def work(folder: Path, app_id: str = "") -> Server:
        server = Server(folder)
        server.app_id = app_id
        await server.open()
        exits.push_async_callback(server.close)
        return server

    return work


@pytest.fixture
async def server(tmp_path: Path, opens: Opens) -> Server:
    opened: Server = await opens(tmp_path / "data", "")
    return opened


@pytest.mark.rule("FN305", "FN306")
async def test_a_restored_server_has_its_code_and_can_go_back(
    server: Server, opens: Opens, tmp_path: Path
) -> None:
    vault = vault_in(tmp_path / "vault")
    await server.deployments.change_secrets(server.app, {"KEY": "s3cret"}, [])
    await server.deploy("a.one")
    await server.deploy("a.one", "a.two")
    await server.deployments.take(server.app, bundle_of("taken.only").raw)
    made = await server.back_up(vault)
    (part,) = made.manifest.apps
    named = sorted([bundle_of("a.one").hash, bundle_of("a.one", "a.two").hash])
    assert [each.code.hash for each in part.bundles] == named and made.missing == []
    kept = {path.name for path in objects(tmp_path / "vault")}
    assert kept >= {*named} and bundle_of("taken.only").hash not in kept
    verified = await check(vault)
    assert verified.problems == [] and verified.bytes == made.manifest.bytes
    restored = await put_back(vault, tmp_path / "new")
    assert restored.codeless == []
    found: Server = await opens(tmp_path / "new", server.app_id)
    assert (found.names, found.text) == (["a.one", "a.two"], "a.one\na.two")
    code = found.deployments.current(found.app.id)
    assert code is not None and code.env == {"KEY": "s3cret"}
    back = await found.deployments.roll_back(found.app)
    assert (back.number, found.names, found.text) == (1, ["a.one"], "a.one")
    assert (await found.deploy("a.three")).number == 3


@pytest.mark.rule("FN305")
async def test_only_new_bundles_are_written(server: Server, tmp_path: Path) -> None:
    vault = vault_in(tmp_path / "vault")
    await server.deploy("a.one")
    first = await server.back_up(vault)
    assert first.put == len(objects(tmp_path / "vault"))
    assert (await server.back_up(vault)).put == 0
    await server.deploy("a.two")
    third = await server.back_up(vault)
    assert third.put == 3  # the list of apps, the code, what its worker told
    assert len(third.manifest.apps[0].bundles) == 2
    # Bundles that no backup names any more are swept.
    for at in range(limits.DEPLOYMENTS_KEPT):
        await server.deploy(f"b.n{at}")
    await server.back_up(vault, keep=1)
    kept = {path.name for path in objects(tmp_path / "vault")}
    assert bundle_of("a.one").hash not in kept and bundle_of("b.n0").hash in kept
    assert (await check(vault)).problems == []


@pytest.mark.rule("FN305")
async def test_a_deploy_meanwhile_makes_the_list_be_copied_again(
    server: Server, opens: Opens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DEPLOYMENTS_KEPT", 1)
    vault, loop = vault_in(tmp_path / "vault"), asyncio.get_running_loop()
    await server.deploy("a.one")
    await server.reopen()  # from here on nothing but deployments is kept
    real, calls = making.find_bundles, []

    def find(*arguments: Any) -> Any:
        named = real(*arguments)
        calls.append(named)
        if len(calls) == 1:
            asyncio.run_coroutine_threadsafe(server.deploy("a.two"), loop).result(WAIT_S)
        return named

    monkeypatch.setattr(making, "find_bundles", find)
    made = await server.back_up(vault)
    assert len(calls) == 2 and made.missing == []
    await put_back(vault, tmp_path / "new")
    assert (await opens(tmp_path / "new", server.app_id)).names == ["a.two"]


@pytest.mark.rule("FN305", "FN308")
@pytest.mark.parametrize("damage", ["gone", "changed", "untold"])
async def test_a_bundle_that_the_server_lost_is_told(
    server: Server, tmp_path: Path, damage: str
) -> None:
    vault = vault_in(tmp_path / "vault")
    await server.deploy("a.one")
    name = f"functions/{server.app.id}/bundles/{bundle_of('a.one').hash}.zip"
    path = server.folder / name
    raw = path.read_bytes()
    if damage == "gone":
        path.unlink()
    elif damage == "changed":
        path.write_bytes(raw[:-1])
    else:
        path.with_suffix(".json").unlink()
    made = await server.back_up(vault)
    assert made.missing == [name]
    assert (await check(vault)).problems == []
    assert (await put_back(vault, tmp_path / "new")).codeless == [server.app.id]


@pytest.mark.rule("FN305")
async def test_what_an_earlier_backup_has_replaces_what_is_lost(
    server: Server, tmp_path: Path
) -> None:
    vault = vault_in(tmp_path / "vault")
    await server.deploy("a.one")
    first = await server.back_up(vault)
    (bundle,) = first.manifest.apps[0].bundles
    taken_out = tmp_path / "vault" / object_key(bundle.code.hash)
    taken_out.unlink()
    again = await server.back_up(vault, rechecks=True)
    assert (again.put, again.missing) == (1, []) and taken_out.exists()
    (server.folder / "functions" / server.app.id / "bundles" / f"{bundle.code.hash}.zip").unlink()
    last = await server.back_up(vault, rechecks=True)
    assert last.missing == [] and last.manifest.apps[0].bundles == [bundle]


@pytest.mark.rule("FN308")
async def test_a_missing_or_damaged_bundle_is_named(server: Server, tmp_path: Path) -> None:
    vault = vault_in(tmp_path / "vault")
    await server.deploy("a.one")
    made = await server.back_up(vault)
    (bundle,) = made.manifest.apps[0].bundles
    for piece in (bundle.code, bundle.told):
        path = tmp_path / "vault" / object_key(piece.hash)
        whole = path.read_bytes()
        for damage in (whole[:-1], bytes([whole[0] ^ 1]) + whole[1:], None):
            path.unlink()
            if damage is not None:
                path.write_bytes(damage)
            (problem,) = (await check(vault)).problems
            assert f"code of functions of app {server.app.id}" in problem and path.name in problem
            with pytest.raises(InvalidInput, match=path.name):
                await put_back(vault, tmp_path / "new")
            assert not (tmp_path / "new").exists()
        path.unlink(missing_ok=True)
        path.write_bytes(whole)
    await changed(vault, lambda part: part.code and replace_bundles(part))
    (problem,) = (await check(vault)).problems
    assert f"App {server.app.id} has deployments of {bundle.code.hash}" in problem


def replace_bundles(part: AppPart) -> Any:
    return msgspec.structs.replace(part.code, bundles=[])  # type: ignore[type-var]


async def changed(vault: FolderVault, code: Callable[[AppPart], Any]) -> None:
    """Write another manifest of the newest backup."""
    manifest = await read_manifest(vault, await newest_name(vault, None))
    apps = [msgspec.structs.replace(part, code=code(part)) for part in manifest.apps]
    other = msgspec.structs.replace(manifest, apps=apps)
    await vault.put_bytes(f"{BACKUPS}{manifest.name}", dump_manifest(other))


@pytest.mark.rule("FN308")
async def test_backups_from_before_are_restored_without_code(
    server: Server, opens: Opens, tmp_path: Path
) -> None:
    vault = vault_in(tmp_path / "vault")
    await server.deploy("a.one")
    await server.back_up(vault)
    await changed(vault, lambda _: None)
    assert (await check(vault)).problems == []
    for app_id in (None, AppId(server.app_id)):
        folder = tmp_path / f"new-{app_id}"
        assert (await put_back(vault, folder, app_id=app_id)).codeless == [server.app_id]
        found = await opens(folder, server.app_id)
        assert found.names == []
        await found.deploy("a.two")
        assert found.names == ["a.two"]
    # In its place, what is in force there and runs stays.
    await server.deploy("a.three")
    store = server.folder / "functions" / server.app_id / "bundles"
    (store / f"{bundle_of('a.one').hash}.zip").unlink()
    await server.close()
    restored = await put_back(vault, server.folder, app_id=AppId(server.app_id), replaces=True)
    assert restored.codeless == []
    await server.open()
    assert server.names == ["a.three"]


@pytest.mark.rule("FN307")
async def test_one_app_gets_its_code_back_and_keeps_secrets(
    server: Server, opens: Opens, tmp_path: Path
) -> None:
    vault = vault_in(tmp_path / "vault")
    await server.deployments.change_secrets(server.app, {"KEY": "old", "GONE": "x"}, [])
    await server.deploy("a.one")
    other, _ = await server.apps.create(title="other")
    await server.deploy_to(other, "b.one")
    await server.back_up(vault)
    await server.deploy("a.two")
    await server.deployments.change_secrets(server.app, {"KEY": "new"}, ["GONE"])
    await server.deploy_to(other, "b.two")
    server.apps.give_back(other)
    await server.close()
    beside = everything(server.folder / "functions" / other.id)
    restored = await put_back(vault, server.folder, app_id=AppId(server.app_id), replaces=True)
    assert restored.codeless == []
    await server.open()
    assert (server.names, server.text) == (["a.one"], "a.one")
    code = server.deployments.current(server.app.id)
    assert code is not None and code.env == {"KEY": "new", "GONE": "x"}
    current, kept = await server.deployments.listed(server.app)
    assert (current, [each.number for each in kept]) == (1, [1])
    assert (await server.deploy("a.three")).number == 3
    assert sorted(server.deployments.signatures(other.id)) == ["b.two"]
    assert everything(server.folder / "functions" / other.id) == beside


@pytest.mark.rule("FN307", "FN305")
async def test_a_backup_of_one_app_leads_to_another_server(
    server: Server, opens: Opens, tmp_path: Path
) -> None:
    vault, app_id = vault_in(tmp_path / "vault"), AppId(server.app_id)
    await server.deployments.change_secrets(server.app, {"KEY": "s3cret"}, [])
    await server.deploy("a.one")
    other, _ = await server.apps.create(title="other")
    await server.deploy_to(other, "b.one")
    server.apps.give_back(other)
    made = await server.back_up(vault, app_id=app_id)
    kept = {path.name for path in objects(tmp_path / "vault")}
    assert bundle_of("a.one").hash in kept and bundle_of("b.one").hash not in kept
    assert (await check(vault, made.manifest.name)).problems == []
    third = Server(tmp_path / "third")
    third.runtime = FakeRuntime(seed=3)
    await third.open()
    await third.deploy("c.one")
    await third.close()
    await put_back(vault, tmp_path / "third", app_id=app_id)
    await third.open()
    assert third.names == ["c.one"]
    await third.close()
    moved: Server = await opens(tmp_path / "third", app_id)
    assert moved.names == ["a.one"]
    assert set(moved.deployments.secrets(moved.app)) == {"KEY"}
    code = moved.deployments.current(app_id)
    assert code is not None and code.env == {}  # sealed by the other key


@pytest.mark.rule("FN307")
async def test_an_app_that_had_no_code_has_none_again(server: Server, tmp_path: Path) -> None:
    vault = vault_in(tmp_path / "vault")
    await server.back_up(vault)
    await server.deploy("a.one")
    await server.close()
    await put_back(vault, server.folder, app_id=AppId(server.app_id), replaces=True)
    await server.open()
    assert server.deployments.current(server.app.id) is None
    assert (await server.deploy("a.two")).number == 2


@pytest.mark.rule("FN306")
async def test_what_a_restore_replaces_is_kept_with_its_code(
    server: Server, opens: Opens, tmp_path: Path
) -> None:
    vault = vault_in(tmp_path / "vault")
    await server.back_up(vault)
    await server.deploy("a.one")
    await server.close()
    before = everything(server.folder / "functions")
    restored = await put_back(vault, server.folder, replaces=True)
    assert restored.kept is not None
    assert everything(restored.kept / "functions") == before
    await server.open()
    assert server.names == []
    assert (await opens(restored.kept, server.app_id)).names == ["a.one"]


@asynccontextmanager
async def shipping(server: Server, folder: Path, version: str = "") -> AsyncIterator[Shipper]:
    async with server.source() as source:
        yield Shipper(
            FolderVault(folder, runtime=server.runtime, is_shipping=True),
            replace(source, version=version or source.version),
            BackupCounts(),
            is_sweeping=asyncio.Lock(),
        )


@pytest.mark.rule("FN309")
async def test_code_of_a_moment(
    server: Server, opens: Opens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DEPLOYMENTS_KEPT", 1)
    folder = tmp_path / "vault"
    vault = vault_in(folder)
    await server.back_up(vault)
    moments = [server.runtime.now]
    async with shipping(server, folder) as shipper:
        for number in range(6):
            server.runtime.advance(60_000)
            await server.deploy(f"a.n{number}")
            await shipper.ship()
            moments.append(server.runtime.now)
    store = server.folder / "functions" / server.app_id / "bundles"
    assert not (store / f"{bundle_of('a.n0').hash}.zip").exists()
    # What segments name is not swept.
    async with server.source() as source:
        server.runtime.advance(60_000)
        await back_up(vault, source, keep=2, is_sweeping=asyncio.Lock())
    for number, at_ms in enumerate(moments):
        new = tmp_path / f"new-{number}"
        restored = await put_back(vault, new, at_ms=at_ms)
        assert restored.codeless == []
        found = await opens(new, server.app_id)
        assert found.names == ([f"a.n{number - 1}"] if number else [])
    app_id = AppId(server.app_id)
    await put_back(vault, tmp_path / "one", at_ms=moments[2], app_id=app_id)
    assert (await opens(tmp_path / "one", app_id)).names == ["a.n1"]
    # A bundle that never reached the vault ends no restore.
    (folder / object_key(bundle_of("a.n2").hash)).unlink()
    restored = await put_back(vault, tmp_path / "lacking", at_ms=moments[3])
    assert restored.codeless == [app_id]


@pytest.mark.rule("FN309")
async def test_code_of_a_copy_between_backups(server: Server, opens: Opens, tmp_path: Path) -> None:
    folder = tmp_path / "vault"
    vault = vault_in(folder)
    await server.back_up(vault)
    server.runtime.advance(60_000)
    await server.deploy("a.one")
    async with shipping(server, folder, version="another") as shipper:
        await shipper.ship()
    assert (await put_back(vault, tmp_path / "new", at_ms=server.runtime.now)).codeless == []
    assert (await opens(tmp_path / "new", server.app_id)).names == ["a.one"]
