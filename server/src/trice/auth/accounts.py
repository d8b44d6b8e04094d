"""Accounts of an app's users: found, made, linked. Their tokens are in `tokens.py`.

All of this runs inside `Database.change`. Reads and writes are one transaction, so of two sign-ups
with one e-mail address only one succeeds.

source   instant-http §1.1-1.3, §1.9; spec/auth.md A1-A19
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from trice.catalog.catalog import Catalog
from trice.catalog.dates import iso_text
from trice.cel.evaluate import Program
from trice.database import Change, Database, Look
from trice.errors import NotFound, PermissionDenied, invalid
from trice.identity import Identity
from trice.protocol.ids import find_uuid_bytes
from trice.rules.judge import Caller, Judge
from trice.runtime import Runtime, new_key
from trice.system_rows import find_row

USERS: Final = "$users"

UserType = Literal["user", "guest"]


@dataclass(frozen=True, slots=True)
class User:
    """A row of `$users`.

    fields      label → JSON value: id, email, type, imageURL, linkedPrimaryUser (an id) and the
                app's own attrs of cardinality one; labels that are not set are left out
    created_ms  when the account was made
    """

    fields: Mapping[str, Any]
    created_ms: int

    @property
    def id(self) -> str:
        return str(self.fields["id"])

    @property
    def email(self) -> str | None:
        return self.fields.get("email")

    @property
    def is_guest(self) -> bool:
        return self.fields.get("type") == "guest"


@dataclass(frozen=True, slots=True)
class SignUpCheck:
    """The rule `$users.allow.create`, and the judge that evaluates it. Made by `sign_up_check`.

    rule   None: the app says nothing about sign-up
    """

    rule: Program | None
    judge: Callable[[Change], Judge]


def sign_up_check(database: Database, identity: Identity) -> SignUpCheck:
    """The check that a sign-up must pass, unless an admin makes it.

    identity   not signed in, with the `ip` and `origin` that rules see
    """

    def judge(change: Change) -> Judge:
        return database.rights.judge(Caller(identity), change.statements, change.catalog)

    return SignUpCheck(database.rules.sign_up_rule(), judge)


# --- finding ------------------------------------------------------------------------------------


def find_user(look: Look, *, id: str | None = None, email: str | None = None) -> User | None:
    """The user with this id or this e-mail address; exactly one of them is given.

    email   as `emails.find_email` returns it: e-mail addresses are stored in lower case
    """
    assert (id is None) != (email is None)
    if id is not None:
        found = find_uuid_bytes(id)
        row = None if found is None else find_row(look, USERS, "id", found)
    else:
        row = find_row(look, USERS, "email", email)
    return None if row is None else User(row.fields, row.created_ms)


def get_user(look: Look, *, id: str | None = None, email: str | None = None) -> User:
    """As `find_user`; raises NotFound(app-user) if there is none."""
    user = find_user(look, id=id, email=email)
    if user is None:
        raise no_user()
    return user


def no_user() -> NotFound:
    """The error for an unknown user or token."""
    return NotFound(
        "record-not-found",
        "Record not found: app-user. There is no such user, or the token was signed out.",
        {"record-type": "app-user", "args": []},
    )


# --- signing up ---------------------------------------------------------------------------------


def check_sign_up(
    change: Change,
    check: SignUpCheck | None,
    *,
    user_id: str,
    email: str | None,
    extra_fields: Mapping[str, Any] | None,
) -> None:
    """Raise unless this account may be made (§1.3 step 3).

    check   None: an admin makes it, no rule applies
    raises  InvalidInput, PermissionDenied, and what the evaluation of the rule raises
    """
    extra = dict(extra_fields or {})
    _check_extra_fields(change.catalog, extra)
    if check is None:
        return
    if check.rule is None:
        if extra:
            raise _denied(
                "Extra fields at sign-up need a rule `$users.allow.create` that allows them."
            )
        return
    would_be = {**extra, "id": user_id}
    if email is not None:
        would_be["email"] = email
    is_allowed = check.judge(change).allows(
        check.rule, etype=USERS, action="create", data=would_be, new_data=would_be, auth=would_be
    )
    if not is_allowed:
        raise _denied("The rule `$users.allow.create` does not allow this sign-up.")


def sign_up(
    change: Change,
    check: SignUpCheck | None,
    *,
    runtime: Runtime,
    email: str | None = None,
    extra_fields: Mapping[str, Any] | None = None,
    user_type: UserType | None = None,
    guest: User | None = None,
    image_url: str | None = None,
    user_id: str | None = None,
) -> User:
    """Make an account, or make a guest's account a full one, which keeps its id.

    The caller has checked that no user has `email`.

    check      None: an admin makes it, no rule applies
    user_type  None: an admin makes it, for a token (§3.4)
    user_id    id of the new account; None: that of the guest, or a random one
    returns    the user as it will be once `change` is committed
    raises     as `check_sign_up` and `create_user`
    """
    new_id = user_id or new_user_id(guest, runtime)
    check_sign_up(change, check, user_id=new_id, email=email, extra_fields=extra_fields)
    return create_user(
        change,
        new_id,
        email=email,
        extra_fields=extra_fields,
        user_type=user_type,
        guest=guest,
        image_url=image_url,
    )


def new_user_id(guest: User | None, runtime: Runtime) -> str:
    """The id of an account to be made: a guest keeps its own."""
    return guest.id if guest is not None else new_key(runtime)


def create_user(
    change: Change,
    user_id: str,
    *,
    email: str | None = None,
    extra_fields: Mapping[str, Any] | None = None,
    user_type: UserType | None = None,
    guest: User | None = None,
    image_url: str | None = None,
) -> User:
    """As `sign_up`, after `check_sign_up` has passed.

    raises   from `Database.change`: InvalidInput for values of the wrong type, Conflict for values
             that must be unique
    """
    written = dict(extra_fields or {})
    system = {"email": email, "type": user_type, "imageURL": image_url}
    written.update({label: value for label, value in system.items() if value is not None})
    change.write(["update", USERS, user_id, written])
    before = dict(guest.fields) if guest is not None else {}
    primary = before.pop("linkedPrimaryUser", None)
    if primary is not None:
        # From here on it is an account of its own, and must not be deleted with the other one.
        change.write(["unlink", USERS, user_id, {"linkedPrimaryUser": primary}])
    shown = {label: value for label, value in written.items() if _is_kept(change, label, value)}
    kept = {label: value for label, value in before.items() if label not in written}
    created_ms = change.time_ms if guest is None else guest.created_ms
    return User({**kept, **shown, "id": user_id}, created_ms)


def link_guest(change: Change, guest: User | None, user: User) -> None:
    """Link a guest to `user`, an account of the same person that existed before."""
    if guest is not None and guest.id != user.id:
        change.write(["update", USERS, guest.id, {"linkedPrimaryUser": user.id}])


def _check_extra_fields(catalog: Catalog, extra: Mapping[str, Any]) -> None:
    problems = []
    for label in extra:
        attr = catalog.find_forward(USERS, label)
        if attr is None:
            problem = f"Unknown field: {label}. It must be defined in your $users schema."
        elif attr.is_system:
            problem = f"Cannot set system field: {label}"
        elif attr.is_ref:
            problem = f"Cannot set a link at sign-up: {label}"
        else:
            continue
        problems.append({"message": problem, "in": ["extra-fields", label]})
    if problems:
        raise invalid("extra-fields", dict(extra), problems)


def _denied(reason: str) -> PermissionDenied:
    return PermissionDenied(
        "permission-denied",
        f"Permission denied: not perms-pass? {reason}",
        {"input": [USERS, "create"], "expected": "perms-pass?"},
    )


def _is_kept(change: Change, label: str, value: Any) -> bool:
    """Whether a written value can be read: for indexed attrs, null is the same as never set."""
    attr = change.catalog.find_forward(USERS, label)
    return value is not None or (attr is not None and not attr.is_indexed)


# --- answers ------------------------------------------------------------------------------------


def user_object(app_id: str, user: User, *, refresh_token: str | None = None) -> dict[str, Any]:
    """The user in the form that every sign-in answers (§1.1).

    {"id", "email"?, "type"?, "imageURL"?, "linkedPrimaryUser"?, <own attrs>,
     "app_id", "created_at", "isGuest", "refresh_token"?}
    """
    shown = {
        **user.fields,
        "app_id": app_id,
        "created_at": iso_text(user.created_ms),
        "isGuest": user.is_guest,
    }
    shown.pop("refresh_token", None)
    if refresh_token is not None:
        shown["refresh_token"] = refresh_token
    return shown
