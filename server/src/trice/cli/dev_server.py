"""The server of `trice dev`: one app, for one project, in its own folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from trice.apps.apps import Apps
from trice.calls.log_ring import Line
from trice.calls.side import RunsCalls
from trice.calls.workers.local import LocalWorkers
from trice.calls.workers.opening import open_workers
from trice.calls.workers.starter import OnLine
from trice.config import Settings
from trice.functions import loading
from trice.server import Server

_NAME: Final = "trice dev"


class DevServer(Server):
    """Serves the app of a project, which is made at the first start.

    app_id, token  of the app, once it is ready
    """

    is_dev = True

    def __init__(
        self, data_dir: Path, *, port: int, root: Path | None, on_line: Callable[[Line], object]
    ) -> None:
        """
        root      the folder of the project, if functions run in this process; None: in workers
        on_line   hears of what functions write
        """
        super().__init__(Settings(data_dir=data_dir, port=port))
        self.root = root
        self.app_id = self.token = ""
        self.on_line = on_line

    def make_workers(self, on_line: OnLine) -> RunsCalls:
        """Workers that tell callers of tracebacks. In this process code is loaded from the project
        itself, so that breakpoints are where its author set them."""
        if self.root is None:
            return open_workers(self.settings, runtime=self._runtime, on_line=on_line, is_dev=True)
        return LocalWorkers(
            loading,
            runtime=self._runtime,
            on_line=on_line,
            root=self.root,
            has_deadline=False,
            allows_private=True,
        )

    async def open_samples(self, apps: Apps) -> list[tuple[str, str]]:
        """Open the app. It is no sample: nothing is served for it."""
        self.app_id = await apps.open_sample(_NAME)
        self.token = await apps.renew_admin_token(self.app_id)
        return []
