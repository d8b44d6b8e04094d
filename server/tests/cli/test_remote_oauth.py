"""`trice oauth-apps`, and apps that are handed over."""

from __future__ import annotations

import json

import pytest

from support.remote_cli import Person

BACK = "https://shop.example.com/back"


@pytest.mark.rule("AC112")
def test_an_oauth_app_is_made_published_and_deleted(ann: Person) -> None:
    ann = ann.with_app()
    assert ann.data("oauth-apps", "list") == []
    made = ann.told("oauth-apps", "create", "The shop", "--scope", "apps-read").strip()
    record = ann.told("oauth-apps", "client", made, "web", "--redirect-url", BACK)
    client, secret = (line.split()[-1] for line in record.splitlines())
    [told] = ann.data("oauth-apps", "list")
    assert (told["id"], told["grantedScopes"]) == (made, ["apps-read"])
    assert [each["clientId"] for each in told["clients"]] == [client]
    assert secret not in json.dumps(told)
    table = ann.told("oauth-apps", "list")
    assert "The shop" in table and "members" in table and BACK in table
    urls = ann.told("oauth-apps", "redirect-urls", client, "--add", BACK + "2")
    assert urls.splitlines() == [BACK, BACK + "2"]
    assert ann.told("oauth-apps", "redirect-urls", client, "--remove", BACK) == f"{BACK}2\n"
    more = ann.run("oauth-apps", "secret", client)
    assert more.exit_code == 0 and len(more.stdout.strip()) == 64
    ended = more.stderr.split()[-1]
    assert ann.run("oauth-apps", "secret", client, "--end", ended).exit_code == 0
    assert ann.run("oauth-apps", "secret", client, "--end", ended).exit_code == 1
    assert "is for everybody" in ann.run("oauth-apps", "publish", made).stderr
    assert "is for members" in ann.run("oauth-apps", "publish", made, "--members").stderr
    asked = ann.run("oauth-apps", "delete", made, typed="n\n")
    assert asked.exit_code == 1 and len(ann.data("oauth-apps", "list")) == 1
    assert ann.run("oauth-apps", "delete", made, "--yes").exit_code == 0
    assert "no OAuth apps" in ann.run("oauth-apps", "list").output
    wrong = ann.run("oauth-apps", "client", made, "web", "--redirect-url", "javascript:alert(1)")
    assert wrong.exit_code == 1


@pytest.mark.rule("AC112")
def test_an_account_sees_what_it_allowed(ann: Person) -> None:
    assert ann.data("oauth-apps", "allowed") == []
    assert "No application" in ann.run("oauth-apps", "allowed").output
    # That it ends what there is, test_oauth_apps shows.
    done = ann.run("oauth-apps", "revoke", "7f3c0a52-6f5e-4a57-9d0c-3f1f5f0e8a11")
    assert done.exit_code == 0


@pytest.mark.rule("AC125")
def test_an_app_is_handed_over(ann: Person, new_account) -> None:
    ann = ann.with_app()
    bob = Person(ann.url, ann.home, new_account("bob_takes@example.com"))
    offer = ("apps", "transfer", ann.app_id, "--to", "bob_takes@example.com")
    assert ann.run(*offer, typed="n\n").exit_code == 1
    assert bob.data("apps", "offers") == []
    for answer in ("revoke", "decline"):
        assert ann.run(*offer, "--yes").exit_code == 0
        assert [each["title"] for each in bob.data("apps", "offers")] == ["shop"]
        if answer == "revoke":
            assert "taken back" in ann.run(*offer, "--revoke").stderr
            assert "no such offer" in ann.run(*offer, "--revoke").stderr
        else:
            assert bob.run("apps", "decline", ann.app_id).exit_code == 0
        refused = bob.run("apps", "accept", ann.app_id)
        assert refused.exit_code == 1 and "Nobody hands this app over" in refused.stderr
    assert ann.run(*offer, "--yes").exit_code == 0
    assert ann.app_id in bob.told("apps", "offers")
    taken = bob.run("apps", "accept", ann.app_id)
    assert taken.exit_code == 0 and "--renew" in taken.stderr
    assert [each["id"] for each in bob.data("apps", "list")] == [ann.app_id]
    assert ann.data("apps", "list") == []


@pytest.mark.rule("AC125")
def test_an_app_goes_to_an_organisation_and_back(ann: Person) -> None:
    ann = ann.with_app()
    org = ann.told("orgs", "create", "Bakery").strip()
    assert ann.run("apps", "transfer", ann.app_id, "--to-org", org, "--yes").exit_code == 0
    assert ann.data("apps", "show", ann.app_id)["org_id"] == org
    email = ann.data("whoami")["email"]
    assert ann.run("apps", "transfer", ann.app_id, "--to", email, "--yes").exit_code == 0
    assert ann.run("apps", "accept", ann.app_id).exit_code == 0
    assert ann.data("apps", "show", ann.app_id)["org_id"] is None
    for words in ((), ("--to", email, "--to-org", org), ("--revoke",)):
        assert ann.run("apps", "transfer", ann.app_id, *words).exit_code == 2
