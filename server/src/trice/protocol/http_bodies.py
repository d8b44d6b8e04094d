"""Bodies of the HTTP routes that clients call: the description that clients are generated from.

Requests are read in `api/`, leniently as Instant does, with error texts of its own, and answers are
made there. The HTTP client of the tests checks each request that succeeded, and each answer,
against these structs (P203). A request may have other keys, which are ignored. Null and absent are
the same in requests. No I/O.

A little over 500 lines, one file because the generator reads all routes in one place.

source   instant-http, spec/auth.md, spec/http.md
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from trice.protocol.messages_down import Attr, ErrorCode, Flat, TxNumber, Uuid

Query = Annotated[dict[str, Any], Meta(description="An InstaQL query (spec/query.md).")]
Steps = Annotated[list[Any], Meta(extra_json_schema={"items": {"$ref": "#/$defs/AdminStep"}})]
Id = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
Text = str | int | float
"""A number is taken as its digits."""
Fields = dict[str, Any]
Instant = Annotated[str, Meta(description="A moment as ISO 8601 text in UTC.")]


class _Answer(msgspec.Struct, forbid_unknown_fields=True):
    """An answer has no other keys."""


class _Request(msgspec.Struct):
    """The keys that are read; a request may have others."""


class Nothing(_Answer):
    """`{}`"""


# --- data ----------------------------------------------------------------------------------------


class AdminQuery(_Request):
    """`is_inferring`: a link to at most one entity is that object or null (Q79). `has_meta`: the
    answer is `{"result", "result-meta"}`, with the cursors of pages (H67)."""

    query: Query
    is_inferring: bool | None = msgspec.field(name="inference?", default=None)
    has_meta: bool | None = msgspec.field(name="result-meta?", default=None)


class AdminTransact(_Request):
    """`throw_on_missing_attrs`: refuse labels the catalog lacks instead of adding them (T99)."""

    steps: Steps
    throw_on_missing_attrs: bool | None = msgspec.field(
        name="throw-on-missing-attrs?", default=None
    )


class Transacted(_Answer, rename="kebab"):
    """The transaction is durable and has this id."""

    tx_id: TxNumber


class FrameworkQuery(_Request):
    """A query that a server renders a page from, before a session takes over."""

    query: Query


class FrameworkAnswer(_Answer, rename="kebab"):
    """The flat answer, and the catalog that its triples name; with what a session that goes on from
    it says (P87).

    query_id, version  the names of query and answer; not there for a query that no session takes
    catalog            the name of `attrs`
    """

    result: Flat
    attrs: list[Attr]
    catalog: str
    processed_tx_id: int
    query_id: str | UnsetType = UNSET
    version: str | UnsetType = UNSET


class Push(_Request):
    """Messages up for an event stream, with the session id and token of its `sse-init` (P50)."""

    machine_id: Id
    session_id: str
    sse_token: str
    messages: Annotated[
        list[dict[str, Any]], Meta(extra_json_schema={"items": {"$ref": "#/$defs/Up"}})
    ]


# --- users ---------------------------------------------------------------------------------------


class User(msgspec.Struct):
    """A row of `$users` with the app's own fields, and what follows from it.

    refresh_token   only in answers to a sign-in, or to a request that presented the token
    """

    id: Uuid
    app_id: Uuid
    created_at: Instant
    is_guest: bool = msgspec.field(name="isGuest")
    email: str | UnsetType | None = UNSET
    refresh_token: Id | UnsetType = UNSET


class SignedIn(_Answer):
    """The user who signed in; `created` tells whether the account is new."""

    user: User
    created: bool


class TokenExchanged(SignedIn, kw_only=True):
    """The same after a redirect; the token also stands beside the user."""

    refresh_token: Id


class KnownUser(_Answer):
    """The user."""

    user: User


class FoundUser(_Answer):
    """The user, null if there is none."""

    user: User | None


class DeletedUser(_Answer):
    """The user that was deleted, null if there was none."""

    deleted: User | None


class Sent(_Answer):
    """The code is on its way."""

    sent: bool


class Code(_Answer):
    """A code that signs in."""

    code: str


class Ok(_Answer):
    """Done."""

    ok: bool


class _OfApp(_Request, rename="kebab"):
    """Names the app."""

    app_id: Id


class SendMagicCode(_OfApp, rename="kebab"):
    """Asks for a code by e-mail."""

    email: str


class VerifyMagicCode(_OfApp, rename="kebab"):
    """Signs in with a code.

    refresh_token   that of the guest who signs in
    extra_fields    fields of a new user
    """

    email: str
    code: Text
    refresh_token: Id | None = None
    extra_fields: Fields | None = None


class SignInGuest(_OfApp, rename="kebab"):
    """Makes a guest; `extra_fields` are fields of its row."""

    extra_fields: Fields | None = None


class VerifyRefreshToken(_OfApp, rename="kebab"):
    """Asks whose token it is."""

    refresh_token: Id


class SignOut(_Request):
    """Ends a refresh token; an unknown one is no error."""

    app_id: Id
    refresh_token: Id


class PasswordSignUp(_OfApp, rename="kebab"):
    """Makes an account with a password; the code proves the e-mail address."""

    email: str
    code: Text
    password: str
    refresh_token: Id | None = None
    extra_fields: Fields | None = None


class PasswordSignIn(_OfApp, rename="kebab"):
    """Signs in with a password."""

    email: str
    password: str


class PasswordChange(_OfApp, rename="kebab"):
    """Changes the password of the user whose token it is."""

    refresh_token: Id
    password: str
    new_password: str


class PasswordReset(_OfApp, rename="kebab"):
    """Sets a password; the code proves the e-mail address."""

    email: str
    code: Text
    password: str


class PasskeyBegin(_OfApp, rename="kebab"):
    """Asks for options; `rp_id` is the domain of the website, or a parent domain of it."""

    rp_id: str | None = None


class PasskeyRegisterBegin(PasskeyBegin, rename="kebab", kw_only=True):
    """The same, to add a passkey to the account whose token it is."""

    refresh_token: Id


class PasskeyOptions(_Answer):
    """The argument of a browser's `parseCreationOptionsFromJSON` or
    `parseRequestOptionsFromJSON`."""

    options: dict[str, Any]


class PasskeyRegister(_OfApp, rename="kebab"):
    """Adds a passkey: `credential.toJSON()` of the browser, and the user's name for it."""

    refresh_token: Id
    credential: dict[str, Any]
    name: str | None = None


class PasskeySignIn(_OfApp, rename="kebab"):
    """Signs in with a passkey: `credential.toJSON()` of the browser."""

    credential: dict[str, Any]


class Passkey(_Answer):
    """A passkey as its user sees it."""

    id: str
    name: str | None
    rp_id: str
    created_at: Instant
    last_used_at: Instant | None


class OnePasskey(_Answer):
    """The passkey that was added."""

    passkey: Passkey


class Passkeys(_Answer):
    """All passkeys of the user."""

    passkeys: list[Passkey]


class PasskeyDelete(VerifyRefreshToken, rename="kebab"):
    """Removes a passkey of the user whose token it is."""

    id: Id


class OAuthToken(_Request):
    """Exchanges the code of a redirect; the request may also be a form.

    code_verifier   needed if the sign-in began with a challenge
    refresh_token   that of the guest who signs in
    extra_fields    fields of a new user
    """

    app_id: Id
    code: Id
    code_verifier: str | None = None
    refresh_token: Id | None = None
    extra_fields: Fields | None = None


class OAuthIdToken(_Request):
    """Signs in with an id token of a provider.

    client_name     name of the app's client at that provider
    refresh_token   that of the account used until now
    """

    app_id: Id
    id_token: str
    client_name: Text
    nonce: str | None = None
    refresh_token: Id | None = None
    extra_fields: Fields | None = None


class CreateToken(_Request):
    """Signs in the user with this e-mail or id, on the app's word; makes the account if need be."""

    email: str | None = None
    id: Id | None = None
    extra_fields: Fields | None = msgspec.field(name="extra-fields", default=None)


class OfEmail(_Request):
    """Names an e-mail address."""

    email: str


class AdminVerifyMagicCode(_Request, rename="kebab"):
    """Signs in with a code; sign-up rules are not asked."""

    email: str
    code: Text
    refresh_token: Id | None = None
    extra_fields: Fields | None = None


class AdminSignInGuest(_Request, rename="kebab"):
    """Makes a guest; sign-up rules are not asked."""

    extra_fields: Fields | None = None


class AdminSignOut(_Request):
    """Ends all tokens of a user, or one; one key is required."""

    id: Id | None = None
    email: str | None = None
    refresh_token: Id | None = None


class AdminPassword(_Request):
    """Sets the password of a user named by id or e-mail; null takes it away."""

    password: str | None
    id: Id | None = None
    email: str | None = None


# --- throw-away apps -----------------------------------------------------------------------------


class NewApp(_Request):
    """`rules` is `{"code": document}`; `schema` is as Instant's command line tool writes it."""

    title: Text
    schema: Any = None
    rules: dict[str, Any] | None = None


class App(_Answer, rename={"admin_token": "admin-token"}):
    """An app; `perms` is `{"code": rules}`, `admin_token` only when it was made."""

    id: Uuid
    title: str
    created_at: Instant
    status: str
    perms: dict[str, Any] | None
    admin_token: Uuid | UnsetType = UNSET


class MadeApp(_Answer):
    """The app, when it ends (ms since 1970), and warnings about its rules."""

    app: App
    expires_ms: int
    warnings: list[dict[str, Any]]


class FoundApp(_Answer):
    """The app without its token."""

    app: App
    expires_ms: int


# --- failures ------------------------------------------------------------------------------------


class HttpError(_Answer, rename="kebab"):
    """A request failed; the status is that of the code. Match `type`, never `message`.

    error   in place of `message` and `hint` for `oauth-error`, which people read; besides them,
            with `error_description`, from `/platform/oauth/token`, in the words of RFC 6749
    """

    type: ErrorCode
    trace_id: Uuid
    message: str | UnsetType = UNSET
    hint: dict[str, Any] | UnsetType = UNSET
    error: str | UnsetType = UNSET
    error_description: str | UnsetType = msgspec.field(default=UNSET, name="error_description")

    def __post_init__(self) -> None:
        is_plain = self.error is UNSET or self.error_description is not UNSET
        if is_plain == (self.message is UNSET) or is_plain == (self.hint is UNSET):
            raise ValueError("either `message` and `hint`, or `error`")


class Member(_Answer, rename="kebab"):
    """A member of a room, with its user in full."""

    peer_id: str
    instance_id: str
    user: Fields | None
    data: Any


class LeftMember(Member, kw_only=True, rename="kebab"):
    """A member that left; `left_at` in milliseconds since 1970."""

    left_at: int


class RoomPresence(_Answer, rename="kebab"):
    """Who is in a room, by peer id; null when it is empty. `last_seen` if it was asked for."""

    sessions: dict[str, Member] | None
    last_seen: list[LeftMember] | UnsetType = UNSET


class SetService(_Request, rename="kebab"):
    """A member that stands for a service, for `ttl_s` seconds."""

    room_type: str
    room_id: str
    peer_id: str
    data: Any = None
    ttl_s: int | None = None


class Broadcast(_Request, rename="kebab"):
    """A message to a topic of a room."""

    room_type: str
    room_id: str
    topic: str
    data: Any = None
    peer_id: str | None = None


class StoredFile(_Answer, rename="kebab"):
    """The row of an uploaded file."""

    id: Uuid
    location_id: str
    size: int


class Uploaded(_Answer):
    """The answer to an upload, whose body is the bytes of the file."""

    data: StoredFile


class DeletedFile(_Answer):
    """The id of the deleted row; null if there was none."""

    id: Uuid | None


class Deleted(_Answer):
    """The answer to the deletion of one file."""

    data: DeletedFile


class Filenames(_Request):
    """The paths of files."""

    filenames: list[str]


class DeletedIds(_Answer):
    """The ids of the deleted rows."""

    ids: list[Uuid | None]


class DeletedFiles(_Answer):
    """The answer to the deletion of several files."""

    data: DeletedIds


class ListedFiles(_Answer):
    """All files, in the form of Instant's deprecated list."""

    data: list[Fields]


class Filename(_Request):
    """The path of a file."""

    filename: str


class SignedUrl(_Answer):
    """A signed URL; null if there is no such file."""

    data: str | None


class CallFunction(_Request):
    """The arguments of a function, by name; null is `{}`."""

    args: dict[str, Any] | None = None


class Called(_Answer):
    """What a function returned; `tx` of a mutation, see `call-ok`."""

    value: Any
    tx: Annotated[int, Meta(ge=0)] | UnsetType = UNSET


_KINDS: Final = ["query", "mutation", "action", "endpoint"]


class Followed(_Answer):
    """What a function follows.

    of      for people: "create, update of text"
    state   "stopped" and "broken" ones stand still: `trice hooks`
    """

    namespace: str
    of: str
    state: Annotated[str, Meta(extra_json_schema={"enum": ["active", "stopped", "broken"]})]


class ListedFunction(_Answer, rename="kebab"):
    """One function, as discovery shows it.

    args, result   JSON Schema 2020-12
    internal       only for admins and other functions
    method, path   of an endpoint, which is at `/http/APP` and its path
    follows        of those that follow changes (`@on_change`)
    """

    name: str
    kind: Annotated[str, Meta(extra_json_schema={"enum": _KINDS})]
    auth: str
    doc: str
    args: dict[str, Any]
    result: dict[str, Any]
    rate: str | UnsetType = UNSET
    also: list[str] | UnsetType = UNSET
    internal: bool | UnsetType = UNSET
    method: str | UnsetType = UNSET
    path: str | UnsetType = UNSET
    follows: Followed | UnsetType = UNSET


class ListedFunctions(_Answer):
    """The functions that the caller may know of, in order of their names."""

    functions: list[ListedFunction]


class DeletedAttr(Attr):
    """An attr that was deleted; its names have a prefix that ends in `_deleted$`."""

    deletion_marked_at: Instant | UnsetType = UNSET


class DeletedAttrs(_Answer):
    """Deleted attrs, newest first, and for how many days each can be restored."""

    attrs: list[DeletedAttr]
    grace_period_days: int = msgspec.field(name="grace-period-days")


ROUTES: Final[dict[str, tuple[Any, Any]]] = {
    "POST /admin/query": (AdminQuery, dict[str, Any]),
    "POST /admin/transact": (AdminTransact, Transacted),
    "POST /admin/subscribe-query": (AdminQuery, None),
    "POST /admin/sse": (None, None),
    "GET /admin/soft_deleted_attrs": (None, DeletedAttrs),
    "GET /admin/rooms/presence": (None, RoomPresence),
    "POST /admin/rooms/presence": (SetService, Nothing),
    "DELETE /admin/rooms/presence": (None, Nothing),
    "POST /admin/rooms/broadcast": (Broadcast, Nothing),
    "PUT /admin/storage/upload": (None, Uploaded),
    "POST /admin/storage/tus": (None, None),
    "POST /admin/storage/tus/{id}": (None, None),
    "DELETE /admin/storage/tus/{id}": (None, None),
    "GET /admin/storage/files": (None, ListedFiles),
    "DELETE /admin/storage/files": (None, Deleted),
    "POST /admin/storage/files/delete": (Filenames, DeletedFiles),
    "POST /admin/storage/signed-upload-url": (Filename, SignedUrl),
    "GET /admin/storage/signed-download-url": (None, SignedUrl),
    "POST /admin/sse/push": (Push, Nothing),
    "POST /admin/refresh_tokens": (CreateToken, SignedIn),
    "POST /admin/magic_code": (OfEmail, Code),
    "POST /admin/send_magic_code": (OfEmail, Code),
    "POST /admin/verify_magic_code": (AdminVerifyMagicCode, SignedIn),
    "POST /admin/sign_in_guest": (AdminSignInGuest, KnownUser),
    "POST /admin/sign_out": (AdminSignOut, Ok),
    "GET /admin/users": (None, FoundUser),
    "DELETE /admin/users": (None, DeletedUser),
    "POST /admin/users/password": (AdminPassword, KnownUser),
    "GET /runtime/sse": (None, None),
    "POST /runtime/sse": (Push, Nothing),
    "POST /runtime/framework/query": (FrameworkQuery, FrameworkAnswer),
    "POST /runtime/functions/{name}": (CallFunction, Called),
    "GET /runtime/functions": (None, ListedFunctions),
    "GET /runtime/functions/openapi.json": (None, dict[str, Any]),
    "POST /runtime/auth/send_magic_code": (SendMagicCode, Sent),
    "POST /runtime/auth/verify_magic_code": (VerifyMagicCode, SignedIn),
    "POST /runtime/auth/sign_in_guest": (SignInGuest, KnownUser),
    "POST /runtime/auth/verify_refresh_token": (VerifyRefreshToken, KnownUser),
    "POST /runtime/signout": (SignOut, Nothing),
    "POST /runtime/auth/password/sign_up": (PasswordSignUp, SignedIn),
    "POST /runtime/auth/password/sign_in": (PasswordSignIn, SignedIn),
    "POST /runtime/auth/password/change": (PasswordChange, KnownUser),
    "POST /runtime/auth/password/reset": (PasswordReset, SignedIn),
    "POST /runtime/auth/passkey/register/begin": (PasskeyRegisterBegin, PasskeyOptions),
    "POST /runtime/auth/passkey/register/finish": (PasskeyRegister, OnePasskey),
    "POST /runtime/auth/passkey/sign_in/begin": (PasskeyBegin, PasskeyOptions),
    "POST /runtime/auth/passkey/sign_in/finish": (PasskeySignIn, SignedIn),
    "POST /runtime/auth/passkey/list": (VerifyRefreshToken, Passkeys),
    "POST /runtime/auth/passkey/delete": (PasskeyDelete, Nothing),
    "POST /runtime/oauth/token": (OAuthToken, TokenExchanged),
    "POST /runtime/oauth/id_token": (OAuthIdToken, SignedIn),
    "POST /dash/apps/ephemeral": (NewApp, MadeApp),
    "GET /dash/apps/ephemeral/{app_id}": (None, FoundApp),
}
"""The bodies of a route: that of its request, and that of its answer with status 200. None means no
JSON body: the request stands in the URL, or the answer is events, each of them a message down."""
