"""Whether this server runs functions, as whom, and how it says so."""

from __future__ import annotations

import logging
import os
import sys
from typing import Final

import trice
from trice.calls.workers.starter import OnLine, Starter
from trice.calls.workers.users import Users, find_unreadable
from trice.calls.workers.workers import Workers
from trice.config import Settings
from trice.errors import InvalidInput
from trice.functions.worker.landlock import ABI_OF_TCP, abi, lack
from trice.runtime import Runtime

logger: Final = logging.getLogger("trice.functions")

AS_ROOT: Final = (
    "This server runs as root, and functions would, too: set TRICE_FUNCTIONS_USER to a uid, or to a"
    " range of uids, one for each app."
)
OPEN_TO_ALL: Final = (
    "Everybody may make an account on this server (TRICE_REGISTRATION=open), and owners of apps may"
    " deploy functions: set TRICE_FUNCTIONS_USER to a range of uids and TRICE_FUNCTIONS_SANDBOX to"
    " require, or TRICE_FUNCTIONS to admins; or TRICE_FUNCTIONS_TRUSTED, if they may do what the"
    " server may."
)
NO_SANDBOX: Final = (
    "This server runs functions only where the kernel confines them"
    " (TRICE_FUNCTIONS_SANDBOX=require), and its kernel"
)
SWITCHED_OFF: Final = "Functions are switched off on this server (TRICE_FUNCTIONS=off)."


def open_workers(
    settings: Settings, *, runtime: Runtime, on_line: OnLine, is_dev: bool = False
) -> Workers:
    """What runs the functions of all apps. No process is started yet; before the first one is, this
    one hides what is in it from those of its user.

    on_line   takes what processes write outside of calls
    is_dev    `trice dev`: functions are told what they should not do, may run as root, who wrote
              them, and reach addresses of a private network
    raises    InvalidInput if the settings do not fit this machine
    """
    users = None if settings.functions_user is None else Users.parse(settings.functions_user)
    if users is not None:
        _expect_fit(users)
    logger.info("%s", in_force(settings, is_dev=is_dev))
    cores = os.cpu_count() or 1
    return Workers(
        Starter(
            runtime,
            users=users,
            on_line=on_line,
            is_dev=is_dev,
            is_hiding=True,
            allows_private=is_dev or settings.allows_private_functions,
            is_confined=is_confined(settings) and not is_dev,
        ),
        runtime=runtime,
        processes_max=settings.functions_workers or 2 * cores,
        cores=cores,
        refusal=None if is_dev else _refusal(settings),
    )


def in_force(settings: Settings, *, is_dev: bool = False) -> str:
    """What keeps functions apart from the server, for the log at its start."""
    if settings.functions == "off":
        return "functions are off"
    refusal = None if is_dev else _refusal(settings)
    if refusal is not None:
        return f"functions are refused: {refusal}"
    if settings.functions_user is not None:
        each = "of each app" if "-" in settings.functions_user else "of all apps"
        said = f"functions {each} run as user {settings.functions_user}"
    else:
        said = "functions run as the server's own user: what it may read, they may"
    return "; ".join((said, *_also_in_force(settings, is_dev=is_dev)))


def _also_in_force(settings: Settings, *, is_dev: bool) -> list[str]:
    """Confinement, who may deploy, packages."""
    said = []
    if is_confined(settings):
        net = "no TCP for queries and mutations" if abi() >= ABI_OF_TCP else "the network is open"
        said.append(f"they are confined to their files (Landlock), {net}")
    elif settings.functions_sandbox == "auto":
        said.append(f"they are not confined: this kernel {lack()}")
    if not is_dev:
        emails = ", ".join(sorted(settings.functions_admin_emails))
        who = emails if settings.functions == "admins" else "owners of apps, and their admin tokens"
        said.append(f"{who} may deploy")
    if settings.functions_packages == "locked":
        said.append("packages of uv.lock are installed")
    return said


def is_confined(settings: Settings) -> bool:
    """Whether the kernel confines functions here."""
    return settings.functions_sandbox != "off" and lack() is None


def _refusal(settings: Settings) -> str | None:
    """Why no functions run here; None: they do."""
    if settings.functions == "off":
        return SWITCHED_OFF
    if settings.functions_user is None and os.geteuid() == 0:
        return AS_ROOT
    missing = lack()
    if settings.functions_sandbox == "require" and missing is not None:
        return f"{NO_SANDBOX} {missing}."
    is_separated = settings.functions_user is not None and "-" in settings.functions_user
    is_apart = is_separated and settings.functions_sandbox == "require"
    is_open = settings.registration == "open" and settings.functions == "owners"
    if is_open and not is_apart and not settings.functions_trusted:
        return OPEN_TO_ALL
    return None


def _expect_fit(users: Users) -> None:
    """raises   InvalidInput if processes of the user could not run here"""
    if os.geteuid() != 0:
        raise InvalidInput(
            "param-malformed",
            "--functions-user is set, but only a server that runs as root can start processes of"
            " another user.",
        )
    needed = (os.__file__, trice.__file__, sys.executable)
    unreadable = find_unreadable(users.first, needed)
    if unreadable is not None:
        raise InvalidInput(
            "param-malformed",
            f"--functions-user is {users.first}, who may not read {unreadable}: Python and trice"
            " must be installed where every user may read.",
        )
