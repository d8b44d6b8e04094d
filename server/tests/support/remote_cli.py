"""`trice` as a person uses it, with a server and a home of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from support.serving import post
from trice.cli.main import main


@dataclass(frozen=True)
class Person:
    """Somebody at a command line.

    home    the folder of settings, where logins are saved
    token   in TRICE_TOKEN, if it is not empty
    """

    url: str
    home: Path
    token: str = ""
    app_id: str = ""

    def run(self, *words: str | Path, typed: str | None = None, **variables: str) -> Result:
        """Run a command, with what is typed to its questions."""
        given = {"TRICE_URL": self.url, "TRICE_TOKEN": self.token, "TRICE_APP": self.app_id}
        env: dict[str, str | None] = {name: value or None for name, value in given.items()}
        env |= {"XDG_CONFIG_HOME": str(self.home), "NO_COLOR": None, **variables}
        return CliRunner().invoke(
            main, list(map(str, words)), input=typed, env=env, prog_name="trice"
        )

    def told(self, *words: str | Path, typed: str | None = None) -> str:
        """What a command that succeeds prints as data."""
        done = self.run(*words, typed=typed)
        assert done.exit_code == 0, done.output
        return done.stdout

    def data(self, *words: str | Path) -> Any:
        """What a command that succeeds prints with --json."""
        return json.loads(self.told(*words, "--json"))

    def with_app(self, title: str = "shop", **body: Any) -> Person:
        """The same person, for an app made now."""
        headers = {"authorization": f"Bearer {self.token}"}
        made = post(f"{self.url}/superadmin/apps", json={"title": title, **body}, headers=headers)
        return Person(self.url, self.home, self.token, made.json()["app"]["id"])

    def signed_out(self) -> Person:
        """The same person without TRICE_TOKEN."""
        return Person(self.url, self.home, "", self.app_id)
