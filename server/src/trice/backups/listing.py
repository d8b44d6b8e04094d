"""Which backups a vault has."""

from __future__ import annotations

from dataclasses import dataclass

from trice import backup_limits as limits
from trice.backups.manifest import NAME, AppPart, Manifest, load_manifest
from trice.backups.vaults import BACKUPS, Vault
from trice.errors import InvalidInput, NotFound, no_record


@dataclass(frozen=True, slots=True)
class FoundBackups:
    """The manifests of a vault, oldest first, and what is wrong with those that cannot be read."""

    manifests: tuple[Manifest, ...]
    damaged: dict[str, str]

    def newest_of(self, app_id: str) -> AppPart | None:
        """The newest good copy of an app."""
        for manifest in reversed(self.manifests):
            for part in manifest.apps:
                if part.id == app_id and part.problem is None:
                    return part
        return None

    def with_one(self, manifest: Manifest) -> FoundBackups:
        return FoundBackups((*self.manifests, manifest), self.damaged)


async def find_names(vault: Vault) -> list[str]:
    """The names of all backups, oldest first, damaged ones included."""
    names = [key.removeprefix(BACKUPS) async for key in vault.list(BACKUPS)]
    return sorted(filter(NAME.fullmatch, names))


async def find_backups(vault: Vault) -> FoundBackups:
    """Read all manifests."""
    manifests, damaged = [], {}
    for name in await find_names(vault):
        try:
            manifests.append(await read_manifest(vault, name))
        except InvalidInput as failure:
            damaged[name] = failure.message
        except NotFound:
            continue  # deleted meanwhile
    manifests.sort(key=lambda each: (each.begun_ms, each.name))
    return FoundBackups(tuple(manifests), damaged)


async def read_manifest(vault: Vault, name: str) -> Manifest:
    """One manifest; raises NotFound, InvalidInput when it is damaged."""
    problem = f"There is no backup {name} in {vault.name}."
    if NAME.fullmatch(name) is None:
        raise no_record("backup", problem, {"name": name})
    try:
        data = await vault.read(f"{BACKUPS}{name}", limits.MANIFEST_BYTES_MAX)
    except FileNotFoundError:
        raise no_record("backup", problem, {"name": name}) from None
    return load_manifest(name, data)


async def newest_name(vault: Vault, app_id: str | None) -> str:
    """The newest good backup: of the server, or one that has the app. Raises NotFound."""
    found = await find_backups(vault)
    for manifest in reversed(found.manifests):
        is_right = (
            manifest.app is None and manifest.is_good
            if app_id is None
            else any(part.id == app_id and part.problem is None for part in manifest.apps)
        )
        if is_right:
            return manifest.name
    what = "the whole server" if app_id is None else f"app {app_id}"
    raise no_record("backup", f"{vault.name} has no good backup of {what}.", {})
