"""`trice jobs`, with a server whose workers run what is scheduled."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from support.function_server import serving_functions
from support.patience import POLL_S, WAIT_S
from support.remote_cli import Person
from trice.cli.main import main

WORK = '''\
"""Work for later."""

from datetime import timedelta

from schema import Db, Message
from trice.functions import Action, Change, FunctionError, Mutation, Retry
from trice.functions import internal, mutation, on_change, seconds


@internal.mutation
async def note(ctx: Mutation[Db], text: str) -> None:
    ctx.db.messages.create(text=text, sent_at=ctx.now)


@internal.action
async def fail(ctx: Action[Db]) -> None:
    raise FunctionError("no-luck", "It cannot be done.")


@internal.action(retry=Retry(times=2))
async def order(ctx: Action[Db]) -> int:
    number = await ctx.step("number", pick, 20)
    await ctx.sleep(timedelta(milliseconds=50))
    await ctx.step("note", note, f"order {number}")
    return number


@on_change(Message, create=True)
async def echo(ctx: Mutation[Db], change: Change[Message]) -> None:
    if change.after is not None:
        ctx.db.messages.create(text=f"echo of {change.after.text}", sent_at=ctx.now)


def pick(least: int) -> int:
    return least + 1


@mutation
async def plan(ctx: Mutation[Db]) -> None:
    ctx.later().run(note, "now")
    ctx.later(seconds(3600), key="later").run(note, text="later")
    ctx.later().run(fail)
    ctx.later().run(order)
'''


@pytest.fixture(scope="module")
def server_url(data_dir: Path) -> Iterator[str]:
    with serving_functions(data_dir) as url:
        yield url


class Works:
    """A project that schedules work, deployed."""

    def __init__(self, person: Person, root: Path) -> None:
        self.person = person
        self.root = root

    def run(self, *words: str) -> Any:
        return self.person.run(*words, "--dir", str(self.root))

    def done(self, *words: str) -> str:
        ran = self.run(*words)
        assert ran.exit_code == 0, ran.output
        return str(ran.output)

    def jobs(self) -> dict[str, dict[str, Any]]:
        """By function; `note` has two, of which the one that waits is `later`."""
        rows = json.loads(self.done("jobs", "list", "--json"))
        return {"later" if row["key"] else row["function"]: row for row in rows}

    def wait(self, is_so: Callable[[dict[str, dict[str, Any]]], bool]) -> dict[str, dict[str, Any]]:
        until = time.monotonic() + WAIT_S
        while not is_so(found := self.jobs()):
            assert time.monotonic() < until, found
            time.sleep(POLL_S)
        return found


@pytest.fixture
def works(ann: Person, tmp_path: Path) -> Works:
    root = tmp_path / "chat"
    assert CliRunner().invoke(main, ["init", str(root)]).exit_code == 0
    (root / "functions" / "work.py").write_text(WORK)
    works = Works(ann.with_app(), root)
    assert "work.echo: follows from now on" in works.done("deploy")
    works.done("run", "work.plan")
    return works


@pytest.mark.rule("FN386", "FN368", "FN370", "FN375", "FN377")
def test_jobs_run_in_workers_and_are_listed_run_again_and_cancelled(works: Works) -> None:
    expected = {"done", "failed", "scheduled"}

    def is_so(found: dict[str, dict[str, Any]]) -> bool:
        settled = {each["state"] for each in found.values()} == expected
        return settled and found["work.order"]["state"] == "done"

    found = works.wait(is_so)
    assert {name: row["state"] for name, row in found.items()} == {
        "work.note": "done",
        "later": "scheduled",
        "work.fail": "failed",
        "work.order": "done",
    }
    assert found["work.fail"]["error"]["message"] == "It cannot be done."
    recent = works.done("run", "messages.recent")
    assert "order 21" in recent and "now" in recent and "later" not in recent
    shown = works.done("jobs", "list", "--state", "failed")
    assert "work.fail" in shown and "function-error" in shown and "work.order" not in shown

    job, first_end = found["work.fail"]["id"], found["work.fail"]["finished_at"]
    assert "scheduled again" in works.done("jobs", "run", job)
    works.wait(lambda found: found["work.fail"]["finished_at"] not in (None, first_end))
    assert "It is cancelled." in works.done("jobs", "cancel", found["later"]["id"])
    assert works.jobs()["later"]["state"] == "cancelled"
    refused = works.run("jobs", "cancel", found["later"]["id"])
    assert refused.exit_code == 1 and "cancelled already" in refused.output
    unknown = works.run("jobs", "run", "00000000-0000-4000-8000-000000000000")
    assert unknown.exit_code == 1 and "no job with this id" in unknown.output
    assert works.run("jobs", "list", "--state", "lost").exit_code == 2


@pytest.mark.rule("FN385", "FN274")
def test_a_deploy_that_waiting_jobs_do_not_fit_is_refused(works: Works) -> None:
    works.wait(lambda found: found["work.order"]["state"] == "done")
    path = works.root / "functions" / "work.py"
    path.write_text(WORK.replace("text: str", "words: str").replace("text=text", "text=words"))
    refused = works.run("deploy")
    assert refused.exit_code == 1
    assert "work.note (1 wait): it has no argument text" in refused.output
    assert "Deployment 2" in works.done("deploy", "--force")


@pytest.mark.rule("FN550", "FN555", "FN565", "FN568")
def test_hooks_run_in_workers_and_are_listed_and_resumed(works: Works) -> None:
    until = time.monotonic() + WAIT_S
    while (recent := works.done("run", "messages.recent")).count("echo of") < 2:
        assert time.monotonic() < until, recent
        time.sleep(POLL_S)
    assert "echo of now" in recent and "echo of order 21" in recent and "of echo" not in recent
    (hook,) = json.loads(works.done("hooks", "list", "--json"))
    told = (hook["name"], hook["namespace"], hook["follows"], hook["state"], hook["parked"])
    assert told == ("work.echo", "messages", "create", "active", 0)
    assert "work.echo" in works.done("hooks", "list")
    assert "It goes on where it was." in works.done("hooks", "resume", "work.echo")
    refused = works.run("hooks", "resume", "work.nothing")
    assert refused.exit_code == 1 and "no hook with this name" in refused.output
