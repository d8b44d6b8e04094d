"""`Retry`, `@cron`, `@every`, `ctx.later`: what is accepted, and what checkers of types say."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.function_stage import PROJECTS, write_project
from trice.functions import Retry, channel
from trice.functions.later import due_ms
from trice.functions.loading import LoadErrors, load_program

HEAD = (
    "from datetime import timedelta\n"
    "from trice.functions import Action, Mutation, Query, Retry, action, cron, every, minutes\n"
    "@{} \n"
    "async def f(ctx: {}) -> None: ...\n"
)


@pytest.mark.rule("FN380", "FN367")
@pytest.mark.parametrize(
    ("decorator", "ctx", "told"),
    [
        ('cron("61 * * * *")', "Mutation", "no expression of cron: Bad minute"),
        ('cron("* * * *")', "Mutation", "not minute, hour"),
        ('cron("0 0 * * *", tz="Nowhere")', "Mutation", "no time zone"),
        ("every(timedelta(milliseconds=5))", "Action", "at least 1000 ms"),
        (
            'cron("0 0 * * *")',
            "Query",
            "What runs by itself takes ctx: Mutation[Db] or Action[Db] first",
        ),
        ('cron("0 0 * * *")', "Mutation, n: int", "n has no default"),
        ("action(retry=5)", "Action", "retry is a Retry"),
        ("action(retry=Retry(times=0))", "Action", "times= from 1 to 100"),
        ("action(retry=Retry(times=1, jitter=2))", "Action", "jitter= from 0 to 1"),
    ],
)
def test_what_is_wrong_is_told_when_it_is_loaded(
    tmp_path: Path, decorator: str, ctx: str, told: str
) -> None:
    project = write_project(tmp_path, {"functions/a.py": HEAD.format(decorator, ctx)})
    with pytest.raises(LoadErrors) as raised:
        load_program(project, {})
    (error,) = raised.value.errors
    assert told in error.message
    assert (error.file, error.line) == ("functions/a.py", 4)


@pytest.mark.rule("FN380")
def test_a_project_has_so_many_crons(tmp_path: Path) -> None:
    one = "@every(minutes(1))\nasync def f{}(ctx: Action) -> None: ...\n"
    text = "from trice.functions import Action, every, minutes\n"
    files = {"functions/a.py": text + "".join(map(one.format, range(101)))}
    with pytest.raises(LoadErrors, match="100 functions at most that run by themselves"):
        load_program(write_project(tmp_path, files), {})


@pytest.mark.rule("FN380", "FN367")
def test_signatures_tell_retry_and_schedule() -> None:
    known = {each.name: each for each in load_program(PROJECTS / "works", {}).signatures}
    sweep, poll, order = (known[f"work.{name}"] for name in ("sweep", "poll", "order"))
    assert (sweep.kind, sweep.is_internal) == ("mutation", True)
    assert (poll.kind, poll.is_internal) == ("action", True)
    assert sweep.schedule is not None and poll.schedule is not None and order.retry is not None
    assert sweep.schedule.text() == "0 2 * * * Europe/Berlin once"
    assert poll.schedule.text() == "every 300000 once"
    assert (order.retry.times, order.retry.first_ms, order.retry.most_ms) == (3, 1_000, 3_600_000)
    assert Retry(times=2, first=timedelta(seconds=5)).plan().first_ms == 5_000


@pytest.mark.rule("FN362")
def test_when_a_job_is_due() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    now_ms = round(now.timestamp() * 1_000)
    assert due_ms(None, now_ms) == now_ms
    assert due_ms(timedelta(seconds=5), now_ms) == now_ms + 5_000
    assert due_ms(timedelta(seconds=-5), now_ms) == now_ms
    assert due_ms(now + timedelta(days=1), now_ms) == now_ms + 86_400_000
    with pytest.raises(ValueError, match="time zone"):
        due_ms(datetime(2026, 1, 1), now_ms)
    with pytest.raises(TypeError, match=r"a length of time, such as seconds\(5\).*, not 5$"):
        due_ms(5, now_ms)  # type: ignore[arg-type]  # as code without mypy does


WRONG = """
from schema import Db
from trice.functions import Action, Mutation, Retry, action, cron, every, minutes, mutation, query
from functions.work import note, order, poll, sweep

@mutation
async def wrong(ctx: Mutation[Db]) -> None:
    ctx.later().run(note, "fits")
    ctx.later(minutes(5), key="k", if_exists="keep").run(order)
    ctx.later().run(sweep)
    ctx.later().run(note, 5)  # error: arg-type
    ctx.later().run(note)  # error: call-arg
    ctx.later(5).run(order)  # error: arg-type
    ctx.later(if_exists="x").run(order)  # error: arg-type
    ctx.step("a", note, "b")  # error: attr-defined

@action(retry=Retry(times=2))
async def act(ctx: Action[Db]) -> None:
    number: str = await ctx.later().run(note, text="a")
    await ctx.later().run(note, txt="a")  # error: call-arg
    await ctx.sleep(5)  # error: arg-type
"""


@pytest.mark.rule("FN362")
def test_mypy_finds_jobs_that_do_not_fit(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(WRONG)
    source = Path(channel.__file__).parents[2]
    checked = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--explicit-package-bases"),
            *("--config-file=", "--no-error-summary", f"--cache-dir={tmp_path}/cache"),
            *("--hide-error-context", "--no-color-output"),
            *(str(wrong), "schema.py", "functions"),
        ],
        cwd=PROJECTS / "works",
        env={"MYPYPATH": str(source), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.findall(r"^.+?:(\d+): error: .*\[([a-z-]+)\]$", checked.stdout, re.MULTILINE)
    told = [
        (str(number), code)
        for number, line in enumerate(WRONG.splitlines(), 1)
        for code in re.findall(r"# error: (.*)$", line)
    ]
    assert found == told, checked.stdout + checked.stderr
