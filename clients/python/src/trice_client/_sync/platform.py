# Made of `_async/platform.py` by `make gen`: change that file.
"""Apps, their schemas and rules, as the dashboard and the command line change them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from trice_client._asked import Asked
from trice_client._clock import sleep
from trice_client._config import RETRY_S, TIMEOUT_S, origin_of
from trice_client._errors import TriceError
from trice_client._sync.requests import Requests

_JOB_LOOK_S = 0.5
_JOBS_OVER = frozenset(("completed", "errored", "canceled"))


class Platform:
    """What an account, or the admin token of one app, may do with apps.

        with Platform("http://localhost:8888") as platform:
            app = platform.create_temporary_app("try", schema=schema)

    token   of an account (`per_…`, `pat_…`), or the admin token of the app that is meant
    """

    def __init__(
        self,
        server: str,
        *,
        token: str | None = None,
        timeout_s: float = TIMEOUT_S,
        retry_s: float = RETRY_S,
        transport: Any = None,
    ) -> None:
        self._requests = Requests(
            origin_of(server), timeout_s=timeout_s, retry_s=retry_s, transport=transport
        )
        self._token = token

    def __enter__(self) -> Platform:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connections."""
        self._requests.close()

    # --- apps -----------------------------------------------------------------------------------

    def create_temporary_app(
        self,
        title: str,
        *,
        schema: Mapping[str, Any] | None = None,
        rules: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """An app that lives for two weeks, without an account: `{"id", "admin-token", …}`."""
        body: dict[str, Any] = {"title": title}
        if schema is not None:
            body["schema"] = schema
        if rules is not None:
            body["rules"] = {"code": rules}
        asked = Asked("POST", "/dash/apps/ephemeral", json=body, repeats="unsent")
        app: dict[str, Any] = (self._requests.json(asked))["app"]
        return app

    def list_apps(self) -> list[dict[str, Any]]:
        """Apps of the account."""
        found: list[dict[str, Any]] = (self._ask("GET", "/superadmin/apps"))["apps"]
        return found

    def create_app(
        self,
        title: str,
        *,
        schema: Mapping[str, Any] | None = None,
        rules: Mapping[str, Any] | None = None,
        org_id: str | None = None,
    ) -> dict[str, Any]:
        """An app of the account, or of an organisation, with its schema and rules; or nothing."""
        given = {"title": title, "schema": schema, "perms": rules, "org_id": org_id}
        body = {name: value for name, value in given.items() if value is not None}
        app: dict[str, Any] = (self._ask("POST", "/superadmin/apps", body))["app"]
        return app

    def get_app(self, app_id: str) -> dict[str, Any]:
        """One app."""
        app: dict[str, Any] = (self._ask("GET", _path(app_id)))["app"]
        return app

    def rename_app(self, app_id: str, title: str) -> dict[str, Any]:
        """Gives an app another title."""
        app: dict[str, Any] = (self._ask("POST", _path(app_id), {"title": title}))["app"]
        return app

    def delete_app(self, app_id: str) -> dict[str, Any]:
        """The server keeps it for a while. An admin token is not enough."""
        app: dict[str, Any] = (self._ask("DELETE", _path(app_id)))["app"]
        return app

    # --- schemas and rules ----------------------------------------------------------------------

    def get_schema(self, app_id: str) -> dict[str, Any]:
        """The schema as the server has it: attrs by namespace and label."""
        found: dict[str, Any] = (self._ask("GET", _path(app_id, "schema")))["schema"]
        return found

    def plan_schema(self, app_id: str, schema: Mapping[str, Any]) -> list[Any]:
        """The steps that a push would take."""
        path = _path(app_id, "schema/push/plan")
        found: list[Any] = (self._ask("POST", path, _push(schema)))["steps"]
        return found

    def push_schema(
        self,
        app_id: str,
        schema: Mapping[str, Any],
        *,
        on_progress: Callable[[list[Any]], None] | None = None,
    ) -> list[Any]:
        """Adds what the app's schema lacks, and waits until stored values are in line with it.
        Nothing is deleted. Returns the steps.

        on_progress  told the jobs, each time they were looked at
        raises       TriceError("schema-job-failed") if stored values do not fit
        """
        answer = self._ask("POST", _path(app_id, "schema/push/apply"), _push(schema))
        group = answer.get("indexing-jobs")
        jobs: list[dict[str, Any]] = group["jobs"] if group else []
        while any(job["job_status"] not in _JOBS_OVER for job in jobs):
            sleep(_JOB_LOOK_S)
            path = f"/dash/apps/{quote(app_id, safe='')}/indexing-jobs/group/{group['group-id']}"
            jobs = (self._ask("GET", path))["jobs"]
            if on_progress is not None:
                on_progress(jobs)
        failed = [job for job in jobs if job["job_status"] != "completed"]
        if failed:
            told = "Stored values do not fit the schema."
            raise TriceError("schema-job-failed", told, hint={"jobs": failed})
        steps: list[Any] = answer["steps"]
        return steps

    def get_rules(self, app_id: str) -> dict[str, Any] | None:
        """The rules; None where there are none."""
        found: dict[str, Any] | None = (self._ask("GET", _path(app_id, "perms")))["perms"]
        return found

    def set_rules(self, app_id: str, rules: Mapping[str, Any]) -> None:
        """Puts rules in the place of all that there are."""
        self._ask("POST", _path(app_id, "perms"), {"code": rules})

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        if self._token is None:
            told = "This needs a token: give `token` to the platform."
            raise TriceError("platform-token-missing", told)
        headers = {"authorization": f"Bearer {self._token}"}
        repeats: Any = "always" if method == "GET" else "unsent"
        return self._requests.json(Asked(method, path, headers=headers, json=body, repeats=repeats))


def _path(app_id: str, rest: str = "") -> str:
    return f"/superadmin/apps/{quote(app_id, safe='')}{'/' if rest else ''}{rest}"


def _push(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"schema": schema, "check_types": True, "supports_background_updates": True}
