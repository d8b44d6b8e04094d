"""What an import looks at in system namespaces, for its report. No I/O."""

from __future__ import annotations

from trice import archive_limits as limits
from trice.archive.kept import SamplesKept, SystemKept
from trice.archive.lines import ReadLine
from trice.archive.report import Report, listed
from trice.auth.emails import find_email
from trice.catalog.catalog import Namespace
from trice.catalog.values import FALSE, TRUE, Cell
from trice.protocol.ids import uuid_text


class Samples:
    """Names of one kind: how many, and the first of them."""

    def __init__(self, kept: SamplesKept) -> None:
        """kept   what an earlier import saw; it changes with this"""
        self._kept = kept

    @property
    def count(self) -> int:
        return self._kept.count

    def add(self, name: str) -> None:
        self._kept.count += 1
        if len(self._kept.names) <= limits.NOTES_MAX:
            self._kept.names.append(name)

    def __str__(self) -> str:
        names = self._kept.names
        return listed([*names, *[""] * (self.count - len(names))])


class SystemRows:
    """Looks at the rows of system namespaces as they come. Holds names for the report only."""

    def __init__(self, app_id: str, kept: SystemKept) -> None:
        """kept   what an earlier import saw; it changes with this"""
        self._app_id = app_id
        self._emails = Samples(kept.emails)
        self._streams = Samples(kept.streams)
        self._secrets = kept.secrets
        self._shared = Samples(kept.shared)

    def look(self, namespace: Namespace, line: ReadLine) -> None:
        """Look at a row, and change what only the server that wrote it can use."""
        match namespace.etype:
            case "$users":
                email = get_cell(namespace, line, "email")
                if isinstance(email, str) and find_email(email) != email:
                    self._emails.add(email)
            case "$streams":
                # Nobody writes it any more: its writer was a client of another server.
                put_cell(namespace, line, "machineId", None)
                if get_cell(namespace, line, "done") in (None, FALSE, b"\x00"):
                    self._streams.add(str(get_cell(namespace, line, "clientId")))
            case "$oauthClients":
                name = str(get_cell(namespace, line, "name"))
                if get_cell(namespace, line, "useSharedCredentials") == TRUE:
                    self._shared.add(name)
                elif isinstance(get_cell(namespace, line, "encryptedClientSecret"), str):
                    self._secrets.append((name, uuid_text(line.id)))
            case _:
                pass

    def note(self, report: Report) -> None:
        """Tell what people should know or do."""
        for name, client_id in self._secrets[: limits.NOTES_MAX]:
            report.note(
                f"The secret of the OAuth client {name} is sealed with the key of the server it"
                " comes from. Sign-in through it fails until it is entered again.",
                f"POST /dash/apps/{self._app_id}/oauth_clients/{client_id}"
                ' {"client_secret": "…"} with the admin token, as its provider shows it.',
            )
        if self._shared.count:
            report.note(
                f"These OAuth clients used Instant's own credentials: {self._shared}.",
                "Register your app with the provider, and enter client id and secret:"
                f" POST /dash/apps/{self._app_id}/oauth_clients/ID"
                ' {"client_id": "…", "client_secret": "…"}.',
            )
        if self._emails.count:
            report.note(
                f"{self._emails.count:,} users have an e-mail address that nobody can sign in with"
                f" here, as addresses are looked up in lower case: {self._emails}.",
                "Change these addresses with the admin SDK.",
            )
        if self._streams.count:
            report.note(
                f"{self._streams.count:,} streams were being written: {self._streams}. Their text"
                " up to the last part that was stored is there."
            )


def _position(namespace: Namespace, label: str) -> int:
    for position, attr in enumerate(namespace.columns, 2):
        if attr.label == label:
            return position
    raise AssertionError(f"{namespace.etype}.{label} is a system attr")


def get_cell(namespace: Namespace, line: ReadLine, label: str) -> Cell:
    """The cell of a system attr."""
    return line.row[_position(namespace, label)]


def put_cell(namespace: Namespace, line: ReadLine, label: str, cell: Cell) -> None:
    """Set a cell of a system attr."""
    line.row[_position(namespace, label)] = cell


def get_text(namespace: Namespace, line: ReadLine, label: str) -> str | None:
    """The text of a system attr, if it is one."""
    found = get_cell(namespace, line, label)
    return found if isinstance(found, str) else None
