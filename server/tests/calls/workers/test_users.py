"""Whom functions run as."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from support.worker_stage import open_workers
from trice.calls.workers import opening, starter
from trice.calls.workers.opening import AS_ROOT, OPEN_TO_ALL, SWITCHED_OFF, in_force
from trice.calls.workers.opening import open_workers as opened
from trice.calls.workers.users import Users, find_unreadable
from trice.config import Settings
from trice.errors import InvalidInput, Unavailable
from trice.runtime import SystemRuntime

IS_ROOT = os.geteuid() == 0


@pytest.mark.rule("FN165")
def test_each_app_has_a_uid_of_its_own() -> None:
    users = Users.parse("20000-20002")
    assert users.next_uid() == 20_000
    assert users.uid_of("a", ()) == 20_000
    assert users.uid_of("b", ("a",)) == 20_001
    assert users.uid_of("a", ("a", "b")) == 20_000
    assert users.next_uid() is None
    with pytest.raises(Unavailable, match="in use"):
        users.uid_of("c", ("a", "b"))
    assert users.uid_of("c", ("b",)) == 20_000, "of an app without processes"
    assert users.uid_of("a", ("c",)) == 20_001
    assert users.check_uid == 20_002, "of no app"


@pytest.mark.rule("FN165")
def test_one_uid_is_for_all() -> None:
    users = Users.parse("65534")
    assert {users.uid_of(app, ("x",)) for app in ("a", "b", "c")} == {65_534}
    assert users.next_uid() == 65_534


@pytest.mark.rule("FN165")
@pytest.mark.parametrize(
    "text", ["0", "0-5", "nobody", "", "5-4", "5-5", "1-70000", "-5", "4294967295"]
)
def test_what_is_no_user_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"--functions-user is .*never root's"):
        Users.parse(text)


@pytest.mark.rule("FN165")
def test_a_user_must_be_able_to_read_python(tmp_path: Path) -> None:
    file = tmp_path / "open" / "file"
    file.parent.mkdir()
    file.write_text("")
    for path in (tmp_path, file.parent):
        path.chmod(0o755)
    file.chmod(0o600)
    assert find_unreadable(65_534, (str(file),)) == file
    file.chmod(0o644)
    file.parent.chmod(0o700)
    assert find_unreadable(65_534, (str(file),)) == file.parent
    file.parent.chmod(0o711)
    closed = find_unreadable(65_534, (str(file),))
    assert closed is None or closed not in (file, file.parent)


@pytest.mark.rule("FN164")
@pytest.mark.parametrize(
    ("settings", "uid", "told"),
    [
        ({}, 0, AS_ROOT),
        ({"functions": "off"}, 1_000, SWITCHED_OFF),
        ({"registration": "open"}, 1_000, OPEN_TO_ALL),
        ({"registration": "open", "functions_sandbox": "auto"}, 1_000, OPEN_TO_ALL),
    ],
)
async def test_functions_may_be_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], uid: int, told: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    runs = opened(
        Settings(data_dir=tmp_path, **settings),  # type: ignore[arg-type]
        runtime=SystemRuntime(),
        on_line=lambda app, level, text: None,
    )
    with pytest.raises(Unavailable) as failure:
        await runs.check(str(tmp_path), {})
    assert failure.value.code == "functions-off"
    assert failure.value.message == told
    await runs.close()


@pytest.mark.rule("FN164")
def test_the_start_says_what_is_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def said(**settings: str) -> str:
        return in_force(Settings(data_dir=tmp_path, **settings))  # type: ignore[arg-type]

    monkeypatch.setattr(os, "geteuid", lambda: 1_000)
    owners = "owners of apps, and their admin tokens may deploy"
    assert "server's own user" in said()
    assert said(functions="off") == "functions are off"
    assert said(functions_user="7-9") == f"functions of each app run as user 7-9; {owners}"
    named = {"functions": "admins", "functions_admins": "b@x.org, A@x.org"}
    assert said(**named).endswith("; a@x.org, b@x.org may deploy")
    assert said(functions_packages="locked").endswith("; packages of uv.lock are installed")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "refused: This server runs as root" in said()
    assert "refused: Everybody" in said(functions_user="7", registration="open")
    assert "refused: Everybody" in said(functions_user="7-9", registration="open")
    assert "own user" in in_force(Settings(data_dir=tmp_path), is_dev=True)
    assert said(functions_user="7").startswith("functions of all apps run as user 7")


@pytest.mark.rule("FN660")
def test_open_registration_needs_uids_and_a_sandbox_or_trust(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(**settings: Any) -> str:
        return in_force(Settings(data_dir=tmp_path, registration="open", **settings))

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(opening, "lack", lambda: None)
    monkeypatch.setattr(opening, "abi", lambda: 4)
    apart = {"functions_user": "7-9", "functions_sandbox": "require"}
    assert "of each app" in said(**apart)
    assert "confined to their files (Landlock), no TCP for queries" in said(**apart)
    monkeypatch.setattr(opening, "abi", lambda: 3)
    assert "the network is open" in said(**apart)
    assert "refused" in said(functions_user="7-9", functions_sandbox="auto")
    assert "refused" in said(functions_user="7", functions_sandbox="require")
    assert "refused" not in said(functions_user="7", functions_trusted=True)
    admins = {"functions": "admins", "functions_admins": "a@x.org"}
    assert "refused" not in said(functions_user="7", **admins)


@pytest.mark.rule("FN663")
def test_a_kernel_that_cannot_confine_is_refused_or_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1_000)
    monkeypatch.setattr(opening, "lack", lambda: "has no Landlock")
    required = Settings(data_dir=tmp_path, functions_sandbox="require")
    assert "refused: This server runs functions only where the kernel confines" in in_force(
        required
    )
    assert "its kernel has no Landlock." in in_force(required)
    auto = Settings(data_dir=tmp_path, functions_sandbox="auto")
    assert "they are not confined: this kernel has no Landlock" in in_force(auto)
    assert "confined" not in in_force(Settings(data_dir=tmp_path))


@pytest.mark.rule("FN165")
async def test_only_root_starts_processes_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data_dir=tmp_path, functions_user="65534")
    monkeypatch.setattr(os, "geteuid", lambda: 1_000)
    with pytest.raises(InvalidInput, match="runs as root"):
        opened(settings, runtime=SystemRuntime(), on_line=lambda app, level, text: None)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(opening, "find_unreadable", lambda uid, paths: Path("/closed"))
    with pytest.raises(InvalidInput, match="may not read /closed"):
        opened(settings, runtime=SystemRuntime(), on_line=lambda app, level, text: None)


@pytest.mark.rule("FN171")
@pytest.mark.parametrize(
    "settings",
    [
        {"functions": "everybody"},
        {"functions": "admins"},
        {"functions_workers": 0},
        {"functions_workers": 9_999},
        {"functions_packages": "all"},
        {"functions_sandbox": "on"},
    ],
)
def test_settings_are_checked(tmp_path: Path, settings: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match="--functions"):
        Settings(data_dir=tmp_path, **settings)  # type: ignore[arg-type]


@pytest.mark.rule("FN165")
@pytest.mark.skipif(not IS_ROOT, reason="only root starts processes of other users")
async def test_apps_run_as_different_users(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    groups = os.getgroups()
    request.addfinalizer(lambda: os.setgroups(groups))
    os.setgroups([60_009])
    async with open_workers(tmp_path, users=Users(60_001, 60_005)) as stage:
        first = await stage.call("see")
        second = await stage.call("see", code=stage.bundle("other"))
        again = await stage.call("see", kind="action")
    assert [each["uid"] for each in (first, second, again)] == [60_001, 60_002, 60_001]
    assert first["groups"] == []


@pytest.mark.rule("FN165")
@pytest.mark.skipif(not IS_ROOT, reason="only root starts processes of other users")
async def test_a_uid_that_changes_hands_reads_nothing_of_the_app_before(tmp_path: Path) -> None:
    async with open_workers(tmp_path, users=Users(60_001, 60_002), processes_max=1) as stage:
        path = await stage.call("bundle_path")
        assert await stage.call("try_open", path=f"{path}/load") == "well"
        other = stage.bundle("other")
        assert (await stage.call("see", code=other))["uid"] == 60_001
        assert await stage.call("try_open", code=other, path=f"{path}/load") == "FileNotFoundError"
        version = stage.bundle("other", version=2)
        assert await stage.call("bundle_path", code=other) != await stage.call(
            "bundle_path", code=version
        )
    assert not Path(path).parent.exists(), "copies go with the server"


@pytest.mark.rule("FN165")
@pytest.mark.skipif(not IS_ROOT, reason="only root starts processes of other users")
async def test_users_of_other_apps_do_not_read_a_bundle(tmp_path: Path) -> None:
    async with open_workers(tmp_path, users=Users(60_001, 60_005)) as stage:
        path = await stage.call("bundle_path")
        other = stage.bundle("other")
        assert await stage.call("try_open", code=other, path=f"{path}/load") == "PermissionError"
        ready = await stage.workers.check(str(other.path), {})
        assert getattr(ready, "functions", [])


@pytest.mark.rule("FN166")
async def test_a_server_hides_itself_before_it_starts_the_first_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(starter, "hide_process", lambda: seen.append(True))
    settings = Settings(data_dir=tmp_path)
    runs = opened(
        settings, runtime=SystemRuntime(), on_line=lambda app, level, text: None, is_dev=True
    )
    assert seen == []
    (tmp_path / "functions").mkdir()
    await runs.check(str(tmp_path), {})
    assert seen == [True]
    await runs.close()
