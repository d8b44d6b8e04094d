"""docs/functions.md: its project loads, has no error of types, and does what the text says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.function_stage import open_stage, write_project
from trice.functions import channel as anything

PAGE = Path(__file__).parents[3] / "docs" / "functions.md"
SOURCE = Path(anything.__file__).parents[2]
ID = "e0000001-0000-4000-8000-000000000000"


def project(folder: Path) -> Path:
    """The files of the page: each begins with its name."""
    texts = re.findall(r"^```python\n# (\S+)\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    assert [name for name, _ in texts] == [
        *("schema.py", "functions/messages.py", "functions/channels.py"),
        "functions/payments.py",
    ]
    return write_project(folder / "chat", dict(texts))


@pytest.mark.rule("FN131")
async def test_the_project_of_the_page_runs(tmp_path: Path) -> None:
    async with open_stage(tmp_path, project(tmp_path)) as stage:
        alice = await stage.user(ID, nickname="al")
        message = await stage.call("channels.welcome", user=alice, title="news")
        (channel,) = (await stage.ask({"channels": {}}))["channels"]
        assert channel["sent"] == 1
        found = await stage.call("messages.recent", user=alice, channel=channel["id"])
        assert [(each["id"], each["author"]["nickname"]) for each in found] == [(message, "al")]
        assert await stage.call("channels.shout", channel=channel["id"]) == "NEWS"
        page = await stage.call("messages.history", channel=channel["id"], page={})
        assert (len(page["items"]), page["next"]) == (1, None)
        fail = await stage.fail("messages.recent", channel=channel["id"], limit=1_000)
        (told,) = re.findall(r"^```json\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
        assert fail.data == json.loads(told)


@pytest.mark.rule("FN131")
def test_the_project_of_the_page_has_no_error_of_types(tmp_path: Path) -> None:
    root = project(tmp_path)
    checked = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--explicit-package-bases"),
            *("--config-file=", f"--cache-dir={tmp_path / 'cache'}", "schema.py", "functions"),
        ],
        cwd=root,
        env={"MYPYPATH": str(SOURCE), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
