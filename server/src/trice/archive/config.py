"""`config.json` of an archive: read, checked in form, and made. No I/O.

trice's own exports have one more key, which Instant ignores:

    "trice": {"attrs": [attrs of the app as clients receive them], "settings": {…},
              "isOpen": bool, "tx": the last transaction}

source   instant-http §6.7; spec/archive.md AR20-AR29
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import orjson

from trice import limits
from trice.apps.settings import Settings
from trice.archive.container import CONFIG
from trice.archive.refusals import refused
from trice.protocol.ids import AppId, find_uuid_bytes

OURS: Final = "trice"

_TX_MAX: Final = 2**52
"""Clients count transactions in doubles."""


@dataclass(frozen=True, slots=True)
class Config:
    """What `config.json` says. Everything but `schema` may be missing.

    counts     lines by namespace; None: not said
    app_id     None in archives of an older form
    attrs      attrs in the form of clients: only their names and ids are used
    settings   of an app of trice
    is_open    of an app of trice; None: not said
    tx         the last transaction of an app of trice; None: not said
    """

    schema: Mapping[str, Any]
    counts: Mapping[str, int] | None = None
    app_id: AppId | None = None
    title: str = "Imported app"
    rules: Any = None
    webhooks: tuple[Any, ...] = ()
    templates: tuple[Any, ...] = ()
    origins: tuple[Any, ...] = ()
    attrs: tuple[Any, ...] = ()
    settings: Settings | None = None
    is_open: bool | None = None
    tx: int | None = None
    backup_at: str | None = field(default=None)


def parse_config(text: bytes) -> Config:
    """Read `config.json`; keys that are not known are ignored.

    raises  InvalidInput that names the key
    """
    try:
        document = orjson.loads(text)
    except ValueError as cause:
        raise refused(CONFIG, f"it is no JSON: {cause}.") from cause
    if not isinstance(document, dict) or not isinstance(document.get("schema"), dict):
        raise refused(CONFIG, "it has no `schema`, so it is no Instant backup.")
    app_id = document.get("appId")
    if app_id is not None and find_uuid_bytes(app_id) is None:
        raise refused(CONFIG, "`appId` is no uuid.")
    ours = document.get(OURS)
    ours = ours if isinstance(ours, dict) else {}
    is_open, tx = ours.get("isOpen"), ours.get("tx")
    backup_at = document.get("backupAt")
    return Config(
        schema=document["schema"],
        counts=_counts(document.get("counts")),
        app_id=None if app_id is None else AppId(app_id.lower()),
        title=_title(document.get("title")),
        rules=document.get("rules") or None,
        webhooks=_list(document, "webhooks"),
        templates=_list(document, "emailTemplates"),
        origins=_list(document, "authorizedRedirectOrigins"),
        attrs=_list(ours, "attrs"),
        settings=_settings(ours.get("settings")),
        is_open=is_open if isinstance(is_open, bool) else None,
        tx=tx if type(tx) is int and 0 <= tx <= _TX_MAX else None,
        backup_at=backup_at if isinstance(backup_at, str) else None,
    )


def _title(given: Any) -> str:
    is_text = isinstance(given, str) and given.strip()
    return given[: limits.APP_TITLE_CHARS_MAX] if is_text else "Imported app"


def _counts(given: Any) -> Mapping[str, int] | None:
    if given is None:
        return None
    if not isinstance(given, dict) or not all(type(count) is int for count in given.values()):
        raise refused(CONFIG, "`counts` must be an object of numbers.")
    return given


def _list(document: Mapping[str, Any], key: str) -> tuple[Any, ...]:
    given = document.get(key)
    if given is None:
        return ()
    if not isinstance(given, list):
        raise refused(CONFIG, f"`{key}` must be a list.")
    return tuple(given)


def _settings(given: Any) -> Settings | None:
    if given is None:
        return None
    try:
        return msgspec.convert(given, Settings)
    except msgspec.ValidationError as cause:
        raise refused(CONFIG, f"`trice.settings` is not as trice writes it: {cause}.") from cause
