"""How commands of the operator reach a data directory, whether a server runs on it or not."""

from __future__ import annotations

import asyncio
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

import click
import orjson

from trice.accounts.accounts import Accounts
from trice.accounts.operator import Operator, door_of
from trice.accounts.orgs import Orgs
from trice.accounts.passwords import AccountPasswords
from trice.apps.apps import Apps
from trice.auth.passwords.hash import PasswordHashes
from trice.cli.options import file_error
from trice.cli.terminal import note
from trice.errors import TriceError
from trice.runtime import SystemRuntime
from trice.server import open_engines
from trice.store.engines import PLATFORM

_ASK_S: Final = 30


def ask(data_dir: Path, wish: dict[str, Any]) -> dict[str, Any]:
    """Have a wish carried out, here or by the server that runs on the directory."""
    former = os.umask(0o077)  # no other user of the machine can read files that this makes
    is_new = not (data_dir / f"{PLATFORM}.db").exists()
    try:
        answer = asyncio.run(_carry_out(data_dir, wish))
        if is_new:  # a typing error, if a server that is meant runs on another folder
            note(
                f"{data_dir} is a new data directory. A server that uses another one is elsewhere:"
                " name it with --data-dir."
            )
        return answer
    except TriceError as failure:
        raise click.ClickException(failure.message) from None
    except BlockingIOError:
        return _ask_server(data_dir, wish)
    except OSError as failure:
        raise click.ClickException(file_error(failure)) from None
    finally:
        os.umask(former)


async def _carry_out(data_dir: Path, wish: dict[str, Any]) -> dict[str, Any]:
    """Carry a wish out in this process; raises BlockingIOError when a server has the directory."""
    runtime = SystemRuntime()
    engines = open_engines(data_dir, runtime=runtime)
    try:
        apps = await Apps.open(engines, runtime=runtime, is_open_by_default=False)
        try:
            accounts = Accounts(apps.platform, runtime=runtime)
            orgs = Orgs(apps.platform, runtime=runtime)
            passwords = AccountPasswords(accounts, PasswordHashes(runtime))
            operator = Operator(accounts, orgs, passwords, apps, runtime=runtime)
            return await operator.carry_out(wish)
        finally:
            await apps.close()
    finally:
        engines.close()


def _ask_server(data_dir: Path, wish: dict[str, Any]) -> dict[str, Any]:
    try:
        door = orjson.loads(door_of(data_dir).read_bytes())
        request = urllib.request.Request(
            f"{door['url']}/operator",
            data=orjson.dumps(wish),
            headers={
                "content-type": "application/json",
                "authorization": f"Bearer {door['secret']}",
            },
        )
        # Proxies are for the world outside; the server is on this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=_ASK_S) as response:
            answer: dict[str, Any] = orjson.loads(response.read())
            return answer
    except urllib.error.HTTPError as failure:
        raise click.ClickException(_message(failure.read())) from None
    except (OSError, ValueError, KeyError, TypeError) as failure:
        raise click.ClickException(
            f"Another process uses {data_dir}, and it does not answer as a server does ({failure})."
            " If it has just started, try again in a moment."
        ) from None


def _message(body: bytes) -> str:
    try:
        return str(orjson.loads(body)["message"])
    except (ValueError, KeyError):
        return "The server refused without a reason."
