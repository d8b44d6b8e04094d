"""The logins that `trice login` saves, in a file that only its owner may read.

    {"current": URL, "servers": {URL: {"token", "email", "is_session"}}}

A token is sent to the server it was saved for, and to no other.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click

from trice.cli.options import file_error


@dataclass(frozen=True, slots=True)
class Login:
    """One account on one server.

    is_session   the token was made by the login, and ends with it; else somebody made it by hand
    """

    token: str
    email: str
    is_session: bool


@dataclass(slots=True)
class SavedLogins:
    """What the file holds. `current` is the server that is meant where none is named."""

    current: str | None = None
    servers: dict[str, Login] = field(default_factory=dict)

    def put(self, url: str, login: Login) -> None:
        """Add a login; its server is the current one from now on."""
        self.current = url
        self.servers[url] = login

    def drop(self, url: str) -> Login | None:
        """Forget the login of a server; None if there was none."""
        if self.current == url:
            others = (each for each in reversed(self.servers) if each != url)
            self.current = next(others, None)
        return self.servers.pop(url, None)


def logins_file() -> Path:
    """Where logins are saved. raises   ClickException"""
    configured = os.environ.get("XDG_CONFIG_HOME")
    try:
        folder = Path(configured) if configured else Path.home() / ".config"
    except RuntimeError:  # a user without a home, as in some containers
        told = "You have no home folder for logins. Name one in XDG_CONFIG_HOME."
        raise click.ClickException(told) from None
    return folder / "trice" / "logins.json"


def load_logins() -> SavedLogins:
    """The logins of this user; none if there is no file. raises   ClickException"""
    path = logins_file()
    try:
        saved = json.loads(path.read_bytes())
        servers = {url: Login(**each) for url, each in saved["servers"].items()}
        return SavedLogins(saved["current"], servers)
    except FileNotFoundError:
        return SavedLogins()
    except OSError as failure:
        raise click.ClickException(file_error(failure)) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        told = f"{path} is damaged. Remove it, and sign in again with `trice login`."
        raise click.ClickException(told) from None


def save_logins(logins: SavedLogins) -> None:
    """Write the file anew, whole or not at all, with mode 0600. raises   ClickException"""
    path = logins_file()
    content: dict[str, Any] = asdict(logins)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Such a file can be read by its owner only, from the moment it is there.
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".logins-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(content, file, indent=2)
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
    except OSError as failure:
        raise click.ClickException(file_error(failure)) from None
