"""`trice apps`: the apps of an account, or of a data directory.

Exit codes: 0 done · 1 not · 2 wrong usage
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from trice.cli.data_app import data_dir_or_server
from trice.cli.options import option
from trice.cli.quotas import app_quota, usage
from trice.cli.remote import Remote, checked_app_id, in_path, json_option, on_server, yes_option
from trice.cli.schema_files import as_document, read_rules, read_schema
from trice.cli.terminal import (
    confirm,
    counted,
    note,
    print_json,
    print_record,
    print_table,
    printable,
    say,
)
from trice.schema.document import for_server

_COLUMNS: Final = {
    "id": "id",
    "title": "title",
    "created_at": "created",
    "org": "organisation",
}
_file: Final[Callable[..., Any]] = click.Path(exists=True, dir_okay=False, path_type=Path)
_app_argument: Final[Callable[..., Any]] = click.argument(
    "app_id", metavar="APP", callback=checked_app_id
)


@click.group("apps")
def apps() -> None:
    """Make, list, change and delete apps; hand them over; see what they use.

    Example: trice apps create bakery --schema schema.json --rules rules.yaml
    """


@apps.command("list")
@option("--deleted", "is_deleted", is_flag=True, help="Those that can be restored.")
@json_option
@data_dir_or_server
def list_apps(
    *, remote: Remote | None, data_dir: Path | None, is_deleted: bool, is_json: bool
) -> None:
    """List your apps and those of your organisations.

    Example: trice apps list --json
    """
    if remote is None:
        from trice.cli.data_app import list_rows

        assert data_dir is not None
        rows = list_rows(data_dir, is_deleted=is_deleted)
    elif is_deleted:
        rows = remote.get("/dash/deleted-apps")["apps"]
    else:
        rows = remote.get("/superadmin/apps")["apps"]
        for org in remote.get("/superadmin/orgs")["orgs"]:
            found = remote.get(f"/superadmin/orgs/{in_path(org['id'])}/apps")["apps"]
            rows += [{**row, "org": org["title"]} for row in found]
    if is_json:
        print_json(rows)
        return
    columns = {**_COLUMNS, "ends_at": "gone for good"} if is_deleted else _COLUMNS
    print_table(rows, columns, none="There are no apps.")


@apps.command("create")
@click.argument("title")
@option(
    "--schema",
    "schema_file",
    type=_file,
    help="Its schema: schema.py, schema.json or instant.schema.ts.",
)
@option("--rules", "rules_file", type=_file, help="Its rules: YAML, JSON or instant.perms.ts.")
@option("--org", "org_id", help="The organisation it belongs to, by id; without this, you.")
@json_option
@on_server
def create(
    *,
    remote: Remote,
    title: str,
    schema_file: Path | None,
    rules_file: Path | None,
    org_id: str | None,
    is_json: bool,
) -> None:
    """Make an app, whole or not at all.

    Example: trice apps create bakery --schema schema.json
    """
    body: dict[str, Any] = {"title": title}
    if schema_file is not None:
        body["schema"] = for_server(read_schema(schema_file))
    if rules_file is not None:
        body["perms"] = read_rules(rules_file)
    if org_id is not None:
        body["org_id"] = org_id
    made = remote.post("/superadmin/apps", body)["app"]
    if is_json:
        print_json(made)
        return
    print_record((("app", made["title"]), ("id", made["id"]), ("admin token", made["admin-token"])))
    note(f"Commands use it after: export TRICE_APP={printable(made['id'])}")


@apps.command("show")
@click.argument("app_id", metavar="APP", callback=checked_app_id, envvar="TRICE_APP")
@json_option
@data_dir_or_server
def show(*, remote: Remote | None, data_dir: Path | None, app_id: str, is_json: bool) -> None:
    """Show an app: whose it is, and which namespaces it has.

    Example: trice apps show 7f3c0a52-6f5e-4a57-9d0c-3f1f5f0e8a11
    """
    if remote is None:
        from trice.cli.data_app import show_row

        assert data_dir is not None
        row, view = show_row(data_dir, app_id)
    else:
        row = remote.get(f"/dash/apps/{in_path(app_id)}")["app"]
        view = remote.get(f"/dash/apps/{in_path(app_id)}/schema/pull")["schema"]
    schema = as_document(view)
    if is_json:
        print_json({**row, "schema": schema})
        return
    names = (
        f"{name} ({counted(len(each['attrs']), 'attr')})"
        for name, each in schema["entities"].items()
    )
    print_record(
        (
            ("app", row["title"]),
            ("id", row["id"]),
            ("created", row["created_at"]),
            ("account", row["creator_id"]),
            ("organisation", row["org_id"]),
            ("namespaces", ", ".join(names) or None),
            ("links", len(schema["links"])),
        )
    )


@apps.command("rename")
@_app_argument
@click.argument("title")
@on_server
def rename(*, remote: Remote, app_id: str, title: str) -> None:
    """Give an app another title.

    Example: trice apps rename 7f3c0a52-6f5e-4a57-9d0c-3f1f5f0e8a11 'The bakery'
    """
    row = remote.post(f"/dash/apps/{in_path(app_id)}/rename", {"title": title})["app"]
    note(f"It is called {printable(row['title'])} now.")


@apps.command("delete")
@_app_argument
@yes_option
@on_server
def delete(*, remote: Remote, app_id: str, is_agreed: bool) -> None:
    """Delete an app with all its data. It can be restored for 14 days.

    Example: trice apps delete 7f3c0a52-6f5e-4a57-9d0c-3f1f5f0e8a11 --yes
    """
    row = remote.get(f"/dash/apps/{in_path(app_id)}")["app"]
    confirm(f"Delete {printable(row['title'])} ({printable(row['id'])})?", is_agreed=is_agreed)
    remote.delete(f"/dash/apps/{in_path(app_id)}")
    note(f"It is deleted. For 14 days this brings it back: trice apps restore {row['id']}")


@apps.command("restore")
@_app_argument
@on_server
def restore(*, remote: Remote, app_id: str) -> None:
    """Bring back an app that was deleted in the last 14 days.

    Example: trice apps restore 7f3c0a52-6f5e-4a57-9d0c-3f1f5f0e8a11
    """
    row = remote.post(f"/dash/apps/{in_path(app_id)}/restore")["app"]
    note(f"{printable(row['title'])} is back.")


@apps.command("token")
@_app_argument
@option("--renew", "is_renewed", is_flag=True, help="Make another; the former works no more.")
@yes_option
@on_server
def token(*, remote: Remote, app_id: str, is_renewed: bool, is_agreed: bool) -> None:
    """Print the admin token of an app, with which anything can be done to it.

    Example: TRICE_TOKEN=$(trice apps token $TRICE_APP)
    """
    row = remote.get(f"/dash/apps/{in_path(app_id)}")["app"]
    if is_renewed:
        question = f"Programs that use the token of {printable(row['title'])} stop working. Go on?"
        confirm(question, is_agreed=is_agreed)
        say(printable(remote.post(f"/dash/apps/{in_path(app_id)}/tokens")["token"]))
        return
    org = row["org_id"]
    holder = remote.get("/dash" if org is None else f"/dash/orgs/{in_path(org)}")
    found = (each["admin_token"] for each in holder["apps"] if each["id"] == row["id"])
    shown = next(found, None)
    if shown is None:
        raise click.ClickException(
            "The server does not show it: your login may not see it, or the server's key was"
            " changed. `trice apps token APP --renew` makes another."
        )
    say(printable(shown))


# --- handing over ---------------------------------------------------------------------------------


@apps.command("transfer")
@_app_argument
@option("--to", "email", metavar="EMAIL", help="Offer it to this account, which accepts it.")
@option("--to-org", "org_id", metavar="ORG", help="Hand it to an organisation that you administer.")
@option("--revoke", "is_revoked", is_flag=True, help="Take the offer to --to EMAIL back.")
@yes_option
@on_server
def transfer(
    *,
    remote: Remote,
    app_id: str,
    email: str | None,
    org_id: str | None,
    is_revoked: bool,
    is_agreed: bool,
) -> None:
    """Hand an app over to another account, or to an organisation.

    Example: trice apps transfer 7f3c0a52-6f5e-4a57-9d0c-3f1f5f0e8a11 --to bob@example.com
    """
    if (email is None) == (org_id is None) or (is_revoked and email is None):
        raise click.UsageError("Say --to EMAIL, with --revoke to take it back, or --to-org ORG.")
    path = f"/superadmin/apps/{in_path(app_id)}"
    if is_revoked:
        count = remote.post(f"{path}/transfers/revoke", {"dest_email": email})["count"]
        note("The offer is taken back." if count else "There was no such offer.")
        return
    title = printable(remote.get(path)["app"]["title"])
    to = printable(email if org_id is None else f"the organisation {org_id}")
    confirm(f"Hand {title} over to {to}? You do not own it then.", is_agreed=is_agreed)
    if org_id is not None:
        remote.post(f"/dash/apps/{in_path(app_id)}/transfer_to_org/{in_path(org_id)}")
        note(f"{title} belongs to {to} now.")
        return
    remote.post(f"{path}/transfers/send", {"dest_email": email})
    note(f"{to} can take {title} for 14 days: trice apps accept {app_id}")


@apps.command("offers")
@json_option
@on_server
def list_offers(*, remote: Remote, is_json: bool) -> None:
    """List the apps that others hand over to you.

    Example: trice apps offers
    """
    rows = _offers(remote)
    if is_json:
        print_json(rows)
        return
    told = [{**each, "app": each["app"]["id"]} for each in rows]
    columns = {"app": "app", "title": "title", "inviter_email": "from", "expires_at": "until"}
    print_table(told, columns, none="Nobody hands an app over to you.")


@apps.command("accept")
@_app_argument
@option("--org", "org_id", help="The organisation that gets it; without this, you.")
@on_server
def accept(*, remote: Remote, app_id: str, org_id: str | None) -> None:
    """Take an app that somebody hands over to you.

    Its admin token stays as it is: who had it may still know it.

    Example: trice apps accept 7f3c0a52-6f5e-4a57-9d0c-3f1f5f0e8a11
    """
    offer = _get_offer(remote, app_id)
    remote.post("/dash/invites/accept", {"invite-id": offer["id"], "org_id": org_id})
    note(f"{printable(offer['title'])} is {'yours' if org_id is None else 'theirs'} now.")
    note(f"Its former owner may know its admin token: trice apps token {app_id} --renew")


@apps.command("decline")
@_app_argument
@on_server
def decline(*, remote: Remote, app_id: str) -> None:
    """Refuse an app that somebody hands over to you.

    Example: trice apps decline 7f3c0a52-6f5e-4a57-9d0c-3f1f5f0e8a11
    """
    offer = _get_offer(remote, app_id)
    remote.post("/dash/invites/decline", {"invite-id": offer["id"]})
    note(f"{printable(offer['title'])} stays where it is.")


def _offers(remote: Remote) -> list[dict[str, Any]]:
    return [each for each in remote.get("/dash")["invites"] if each.get("type") == "app"]


def _get_offer(remote: Remote, app_id: str) -> dict[str, Any]:
    for offer in _offers(remote):
        if offer["app"]["id"] == app_id:
            return offer
    raise click.ClickException("Nobody hands this app over to you. `trice apps offers` lists them.")


apps.add_command(usage)
apps.add_command(app_quota)
