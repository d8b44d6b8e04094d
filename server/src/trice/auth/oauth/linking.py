"""The account of a person that a provider vouches for: found, linked or made in one transaction.

source   instant-http §1.9; spec/auth.md A130-A139
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from trice.auth.accounts import SignUpCheck, User, find_user, link_guest, sign_up
from trice.database import Change
from trice.runtime import Runtime, new_key
from trice.system_rows import FoundRow, find_row

LINKS: Final = "$oauthUserLinks"


@dataclass(frozen=True, slots=True)
class Profile:
    """What a provider says about a person.

    sub     the provider's id of the person, never used for another person
    email   e-mail address that the provider has verified, trimmed, in lower case; None: unknown
    """

    sub: str
    email: str | None = None
    image_url: str | None = None


def sign_in(
    change: Change,
    profile: Profile,
    *,
    provider_id: str,
    check: SignUpCheck,
    extra_fields: Mapping[str, Any] | None,
    guest: User | None,
    runtime: Runtime,
) -> tuple[User, bool]:
    """The account of `profile`, made if there is none; and whether it was made.

    check, extra_fields   used for a sign-up only
    guest                 the guest account that the person used so far: it becomes the account, or
                          is linked to an existing one
    raises                as `accounts.sign_up`
    """
    key = f"{profile.sub}+{provider_id}"
    link = find_row(change, LINKS, "sub+$oauthProvider", key)
    user = _choose(change, profile, link)
    if user is None:
        user = sign_up(
            change,
            check,
            runtime=runtime,
            email=profile.email,
            extra_fields=extra_fields,
            user_type="user",
            guest=guest,
            image_url=profile.image_url,
        )
        _write_link(change, link, profile, provider_id, user, runtime=runtime)
        return user, True
    link_guest(change, guest, user)
    user = _update(change, user, profile)
    if link is None or link.fields.get("$user") != user.id:
        _write_link(change, link, profile, provider_id, user, runtime=runtime)
    return user, False


def _choose(change: Change, profile: Profile, link: FoundRow | None) -> User | None:
    """The user with the e-mail address, else the one linked to the provider's id.

    If they differ, the address decides, as only one account can have it; the link moves there.
    """
    if profile.email is not None:
        user = find_user(change, email=profile.email)
        if user is not None:
            return user
    linked = None if link is None else link.fields.get("$user")
    return None if linked is None else find_user(change, id=linked)


def _update(change: Change, user: User, profile: Profile) -> User:
    """Store what the provider knows better: the picture, and the e-mail address if it gave one."""
    newer = {
        label: value
        for label, value in (("email", profile.email), ("imageURL", profile.image_url))
        if value is not None and user.fields.get(label) != value
    }
    if not newer:
        return user
    change.write(["update", "$users", user.id, newer])
    return replace(user, fields={**user.fields, **newer})


def _write_link(
    change: Change,
    link: FoundRow | None,
    profile: Profile,
    provider_id: str,
    user: User,
    *,
    runtime: Runtime,
) -> None:
    link_id = new_key(runtime) if link is None else link.fields["id"]
    values = {
        "sub": profile.sub,
        "$oauthProvider": provider_id,
        "sub+$oauthProvider": f"{profile.sub}+{provider_id}",
        "$user": user.id,
    }
    change.write(["update", LINKS, link_id, values])
