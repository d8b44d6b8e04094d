"""Apps that get code deployed, with a worker that says what a test wants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.engines import open_apps
from support.runtime import FakeRuntime
from trice.apps.apps import App, Apps
from trice.auth.oauth.sealed import Seal
from trice.calls.bundles import Bundle, Manifest, pack
from trice.calls.deployment_rows import Deployment
from trice.calls.deployments import Deployments
from trice.functions.frames import Broken, LoadError, Ready
from trice.functions.signature import Signature


def signature(name: str, **options: Any) -> Signature:
    """A query without arguments."""
    return Signature(
        **{"name": name, "kind": "query", "args": {"type": "object"}, "result": {}, **options}
    )


class FakeChecker:
    """Reads `functions/names.txt` instead of running code: a function a line; `!` is a fault."""

    def __init__(self) -> None:
        self.seen: list[tuple[Path, dict[str, str]]] = []

    async def check(
        self, path: str, env: dict[str, str], packages: Path | None = None
    ) -> Ready | Broken:
        self.seen.append((Path(path), env))
        lines = (Path(path) / "functions" / "names.txt").read_text().split()
        faults = [
            LoadError(file="functions/names.txt", line=at, message=f"{line} is none")
            for at, line in enumerate(lines, 1)
            if line.startswith("!")
        ]
        return Broken(errors=faults) if faults else Ready(functions=[*map(signature, lines)])


def bundle_of(*names: str, **manifest: Any) -> Bundle:
    """A bundle with these functions."""
    return pack({"functions/names.txt": "\n".join(names).encode()}, Manifest(**manifest))


class DeployStage:
    """A data directory with an app; `open` again is a restart."""

    apps: Apps
    app: App
    deployments: Deployments

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runtime = FakeRuntime()
        self.checker = FakeChecker()
        self.app_id = ""
        self.switched: list[Any] = []

    async def open(self, **options: Any) -> None:
        self.apps = await open_apps(self.folder, runtime=self.runtime, is_open_by_default=True)
        if not self.app_id:
            made, _ = await self.apps.create(title="x")
            self.apps.give_back(made)
            self.app_id = made.id
        self.app = await self.apps.lend(self.app_id)
        self.deployments = Deployments(
            self.apps,
            folder=self.folder / "functions",
            seal=Seal(self.folder, secret_key=None, runtime=self.runtime),
            checker=self.checker,
            runtime=self.runtime,
            **options,
        )
        self.deployments.on_switch(lambda app_id, code: self.switched.append((app_id, code)))
        await self.deployments.load()

    async def close(self) -> None:
        await self.deployments.close()
        self.apps.give_back(self.app)
        await self.apps.close()

    async def reopen(self, **options: Any) -> None:
        await self.close()
        await self.open(**options)

    async def deploy(self, *names: str, **manifest: Any) -> Deployment:
        bundle = bundle_of(*names, **manifest)
        await self.deployments.take(self.app, bundle.raw)
        return await self.deployments.deploy(self.app, bundle.hash)

    @property
    def names(self) -> list[str]:
        """The functions in force."""
        return sorted(self.deployments.signatures(self.app.id))
