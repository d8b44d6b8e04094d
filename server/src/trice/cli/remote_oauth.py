"""`trice oauth-apps`: applications of others that act for accounts (docs/platform-oauth.md).

Exit codes: 0 done · 1 not · 2 wrong usage
"""

from __future__ import annotations

from typing import Any, Final

import click

from trice.cli.options import option
from trice.cli.remote import Remote, app_option, in_path, json_option, on_server, yes_option
from trice.cli.terminal import confirm, note, print_json, print_record, print_table, printable, say

_SCOPES: Final = (
    *("apps-read", "apps-write", "data-read", "data-write", "storage-read", "storage-write"),
)


@click.group("oauth-apps")
def oauth_apps() -> None:
    """Let applications of others ask people to act for their accounts here.

    Example: trice oauth-apps create 'The shop' --scope apps-read --app $APP
    """


@oauth_apps.command("list")
@app_option
@json_option
@on_server
def list_apps(*, remote: Remote, app_id: str, is_json: bool) -> None:
    """List the OAuth apps of an app, and their clients.

    Example: trice oauth-apps list --app $APP
    """
    found = remote.get(f"/dash/apps/{in_path(app_id)}/oauth-apps")["apps"]
    if is_json:
        print_json(found)
        return
    rows = []
    for each in found:
        said = {
            "id": each["id"],
            "name": each["appName"],
            "for": "everybody" if each["isPublic"] else "members",
            "scopes": " ".join(each["grantedScopes"]),
        }
        clients = [
            {
                "client": client["clientId"],
                "urls": " ".join(client["authorizedRedirectUrls"]) or None,
            }
            for client in each["clients"]
        ] or [{"client": None, "urls": None}]
        rows += [said | client for client in clients]
    columns = {"id": "id", "name": "name", "for": "for", "client": "client", "urls": "returns to"}
    print_table(rows, columns | {"scopes": "scopes"}, none="The app has no OAuth apps.")


@oauth_apps.command("create")
@click.argument("name")
@option("--scope", "scopes", multiple=True, type=click.Choice(_SCOPES), help="May ask for this.")
@option("--home-page", metavar="URL", help="Shown to people who are asked.")
@option("--privacy-policy", metavar="URL", help="Shown to people who are asked.")
@option("--terms", metavar="URL", help="Shown to people who are asked.")
@option("--support-email", metavar="EMAIL", help="Shown to people who are asked.")
@app_option
@json_option
@on_server
def create(
    *,
    remote: Remote,
    app_id: str,
    name: str,
    scopes: tuple[str, ...],
    home_page: str | None,
    privacy_policy: str | None,
    terms: str | None,
    support_email: str | None,
    is_json: bool,
) -> None:
    """Make an OAuth app and print its id. Without --scope it may ask for everything.

    Example: trice oauth-apps create 'The shop' --scope apps-read --app $APP
    """
    said = {
        "app_name": name,
        "granted_scopes": list(scopes) or None,
        "app_home_page": home_page,
        "app_privacy_policy_link": privacy_policy,
        "app_tos_link": terms,
        "support_email": support_email,
    }
    made = remote.post(f"/dash/apps/{in_path(app_id)}/oauth-apps", said)["app"]
    if is_json:
        print_json(made)
        return
    say(printable(made["id"]))
    note("Members of the app may use it; `trice oauth-apps publish` lets everybody.")


@oauth_apps.command("publish")
@click.argument("oauth_app_id", metavar="OAUTH_APP")
@option("--members", "is_for_members", is_flag=True, help="Only members of the app again.")
@app_option
@on_server
def publish(*, remote: Remote, app_id: str, oauth_app_id: str, is_for_members: bool) -> None:
    """Let everybody with an account use an OAuth app.

    Example: trice oauth-apps publish 7f3c0a52-6f5e-4a57-9d0c-3f1f5f0e8a11 --app $APP
    """
    path = f"/dash/apps/{in_path(app_id)}/oauth-apps/{in_path(oauth_app_id)}"
    made = remote.post(path, {"is_public": not is_for_members})["app"]
    note(f"{printable(made['appName'])} is for {'everybody' if made['isPublic'] else 'members'}.")


@oauth_apps.command("delete")
@click.argument("oauth_app_id", metavar="OAUTH_APP")
@yes_option
@app_option
@on_server
def delete(*, remote: Remote, app_id: str, oauth_app_id: str, is_agreed: bool) -> None:
    """Delete an OAuth app: all tokens that people gave it end.

    Example: trice oauth-apps delete 7f3c0a52-6f5e-4a57-9d0c-3f1f5f0e8a11 --app $APP --yes
    """
    confirm("All tokens that people gave it end. Go on?", is_agreed=is_agreed)
    path = f"/dash/apps/{in_path(app_id)}/oauth-apps/{in_path(oauth_app_id)}"
    note(f"{printable(remote.delete(path)['app']['appName'])} is deleted.")


# --- clients --------------------------------------------------------------------------------------


@oauth_apps.command("client")
@click.argument("oauth_app_id", metavar="OAUTH_APP")
@click.argument("name")
@option("--redirect-url", "urls", multiple=True, metavar="URL", help="Where people return to.")
@app_option
@json_option
@on_server
def create_client(
    *,
    remote: Remote,
    app_id: str,
    oauth_app_id: str,
    name: str,
    urls: tuple[str, ...],
    is_json: bool,
) -> None:
    """Make a client of an OAuth app; print its id, and its secret this once.

    Example: trice oauth-apps client $OAUTH_APP web --redirect-url https://shop.example.com/back
    """
    path = f"/dash/apps/{in_path(app_id)}/oauth-apps/{in_path(oauth_app_id)}/clients"
    body = {"client_name": name, "authorized_redirect_urls": list(urls)}
    made = remote.post(path, body)
    if is_json:
        print_json(made)
        return
    print_record((("client id", made["client"]["clientId"]), ("secret", made["secretValue"])))
    note("The secret is not shown again. A client in a browser uses PKCE, and no secret.")


@oauth_apps.command("redirect-urls")
@click.argument("client_id", metavar="CLIENT")
@option("--add", metavar="URL", help="People may return there.")
@option("--remove", metavar="URL", help="They may not any more.")
@app_option
@on_server
def change_urls(
    *, remote: Remote, app_id: str, client_id: str, add: str | None, remove: str | None
) -> None:
    """Add or remove a URL that people return to; print those that are left.

    Example: trice oauth-apps redirect-urls $CLIENT --add https://shop.example.com/back
    """
    path = f"/dash/apps/{in_path(app_id)}/oauth-app-clients/{in_path(client_id)}"
    body = {"add_redirect_url": add, "remove_redirect_url": remove}
    for url in remote.post(path, body)["client"]["authorizedRedirectUrls"]:
        say(printable(url))


@oauth_apps.command("secret")
@click.argument("client_id", metavar="CLIENT")
@option("--end", "secret_id", metavar="ID", help="End the secret with this id instead.")
@app_option
@on_server
def change_secrets(*, remote: Remote, app_id: str, client_id: str, secret_id: str | None) -> None:
    """Make another secret of a client and print it, this once; or end one.

    Example: trice oauth-apps secret $CLIENT
    """
    base = f"/dash/apps/{in_path(app_id)}"
    if secret_id is not None:
        remote.delete(f"{base}/oauth-app-client-secrets/{in_path(secret_id)}")
        note("It proves nothing any more.")
        return
    made = remote.post(f"{base}/oauth-app-clients/{in_path(client_id)}/client-secrets")
    say(printable(made["secretValue"]))
    note(f"Its id, to end it: {printable(made['clientSecret']['id'])}")


# --- of the account -------------------------------------------------------------------------------


@oauth_apps.command("allowed")
@json_option
@on_server
def list_allowed(*, remote: Remote, is_json: bool) -> None:
    """List the OAuth apps that act for your account.

    Example: trice oauth-apps allowed
    """
    found: list[dict[str, Any]] = remote.get("/dash/user/oauth_apps")["oauthApps"]
    if is_json:
        print_json(found)
    else:
        columns = {"id": "id", "name": "name", "homePage": "home page"}
        print_table(found, columns, none="No application acts for your account.")


@oauth_apps.command("revoke")
@click.argument("oauth_app_id", metavar="OAUTH_APP")
@on_server
def revoke(*, remote: Remote, oauth_app_id: str) -> None:
    """End all that you allowed an OAuth app.

    Example: trice oauth-apps revoke 7f3c0a52-6f5e-4a57-9d0c-3f1f5f0e8a11
    """
    remote.post("/dash/user/oauth_apps/revoke_access", {"oauthAppId": oauth_app_id})
    note("It acts for your account no more.")
