"""Code of functions in backups: bundles, and the rows that name them.

    $deployments in the platform's copy ──> bundles ──> objects: the zip, what its worker told
    a deploy ──> a row of the platform's log ──> a line in `named/platform.…` (`log_area`)

Bundles are kept by their hash wherever they are. Unpacked code is in no backup: whoever needs it
unpacks it again (`calls.bundle_store`).

source   spec/functions.md FN305-FN309
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import msgspec

from trice.backups.fetch import fetch
from trice.backups.manifest import BundlePart, Piece
from trice.backups.vaults import Vault, hash_file, object_key
from trice.calls.bundle_store import KEPT_IN, BundleStore
from trice.calls.deployment_rows import (
    CODE,
    DEPLOYMENTS,
    CodeState,
    Deployment,
    DeploymentRows,
    named_bundle,
)
from trice.database import Database
from trice.protocol.ids import AppId
from trice.runtime import Runtime
from trice.store.copies import Copies, LogRow


@dataclass(frozen=True, slots=True)
class AppCodeRows:
    """What the platform's database has of the code of an app: what is in force, with secrets, and
    the deployments that are kept, newest first."""

    state: CodeState
    deployments: list[Deployment]


# --- which bundles --------------------------------------------------------------------------------


def find_bundles(copies: Copies, platform: Path) -> dict[str, list[str]]:
    """The hashes of bundles that deployments name in a copy of the platform's database, by app,
    each once. Blocks."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for texts in copies.texts(platform, DEPLOYMENTS, ("key", "state")):
        named = named_bundle(texts)
        if named is not None:
            found[named[0]][named[1]] = None
    return {app_id: sorted(hashes) for app_id, hashes in found.items()}


def codes_in_force(copies: Copies, platform: Path) -> dict[str, str]:
    """The hash of the bundle in force, by app, in a copy of the platform's database. Blocks."""
    rows = copies.texts(platform, CODE, ("app", "state"))
    states = {app_id: msgspec.json.decode(state, type=CodeState) for app_id, state in rows}
    return {app_id: each.bundle for app_id, each in states.items() if each.bundle is not None}


def new_bundles(copies: Copies, rows: Iterable[LogRow]) -> list[tuple[AppId, str]]:
    """The apps and bundles that deployments name which rows of the platform's log add."""
    given = (texts for row in rows for texts in copies.given_texts(row.changes, DEPLOYMENTS))
    return [named for named in map(named_bundle, given) if named is not None]


# --- into the vault, and back ---------------------------------------------------------------------


def find_bundle(data_dir: Path, app_id: str, bundle_hash: str) -> BundlePart | None:
    """A bundle of a data directory; None when it has lost it, or it is damaged. Blocks."""
    code, told = BundleStore(data_dir / KEPT_IN).paths(AppId(app_id), bundle_hash)
    try:
        found = BundlePart(Piece(*hash_file(code)), Piece(*hash_file(told)))
    except FileNotFoundError:
        return None
    return found if found.code.hash == bundle_hash else None


async def put_bundle(vault: Vault, data_dir: Path, app_id: str, bundle: BundlePart) -> list[Piece]:
    """Put what `find_bundle` found; return the pieces that the vault lacked.

    raises   FileNotFoundError when it is gone, or another one by now
    """
    code, told = BundleStore(data_dir / KEPT_IN).paths(AppId(app_id), bundle.code.hash)
    put = []
    if await vault.size(object_key(bundle.code.hash)) != bundle.code.size:
        await vault.put(object_key(bundle.code.hash), code, is_ours=False)
        put.append(bundle.code)
    if await vault.size(object_key(bundle.told.hash)) != bundle.told.size:
        data = await asyncio.to_thread(told.read_bytes)
        if sha256(data).hexdigest() != bundle.told.hash:
            raise FileNotFoundError(told)
        await vault.put_bytes(object_key(bundle.told.hash), data)
        put.append(bundle.told)
    return put


async def fetch_bundle(
    vault: Vault, folder: Path, app_id: str, bundle: BundlePart
) -> tuple[Path, Path]:
    """Write a bundle into a folder that becomes a data directory; return its files.

    raises   InvalidInput when it is missing or damaged
    """
    paths = BundleStore(folder / KEPT_IN).paths(AppId(app_id), bundle.code.hash)
    await asyncio.to_thread(partial(_make_folder, paths[0].parent, folder))
    for piece, path in zip((bundle.code, bundle.told), paths, strict=True):
        # No link: what is deployed afterwards may be written there again.
        await fetch(vault, piece, path, f"code of functions of app {app_id}", may_link=False)
    return paths


def _make_folder(folder: Path, above: Path) -> None:
    """Make a folder and those between it and `above`, closed to others."""
    if folder != above and not folder.is_dir():
        _make_folder(folder.parent, above)
        folder.mkdir(mode=0o700)


# --- rows -----------------------------------------------------------------------------------------


def has_bundle(data_dir: Path, app_id: str, bundle_hash: str) -> bool:
    """Whether a data directory has a bundle. Blocks."""
    return all(
        path.exists() for path in BundleStore(data_dir / KEPT_IN).paths(AppId(app_id), bundle_hash)
    )


async def read_rows(database: Database, app_id: AppId, *, runtime: Runtime) -> AppCodeRows:
    """What a platform's database has of the code of an app."""
    rows = DeploymentRows(database, runtime=runtime)
    state = await rows.find_state(app_id)
    return AppCodeRows(state or CodeState(), await rows.deployments(app_id))


async def write_rows(
    database: Database, app_id: AppId, restored: AppCodeRows, *, runtime: Runtime
) -> None:
    """Put rows in the place of those that a platform's database has of the code of an app. Secrets
    that are set there stay as they are, and numbers of deployments are not given again."""
    before = await read_rows(database, app_id, runtime=runtime)
    if restored == before == AppCodeRows(CodeState(), []):
        return
    rows = DeploymentRows(database, runtime=runtime)
    await rows.forget(app_id)
    state = msgspec.structs.replace(
        restored.state,
        newest=max(restored.state.newest, before.state.newest),
        version=max(restored.state.version, before.state.version) + 1,
        secrets={**restored.state.secrets, **before.state.secrets},
    )
    made = [rows.put_deployment(app_id, each) for each in reversed(restored.deployments)]
    await rows.write([rows.put_state(app_id, state), *made])
