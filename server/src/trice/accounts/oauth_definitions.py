"""What developers say about an OAuth app and its clients, checked. No I/O.

People read it on the page where they decide, and browsers are sent where it says: so names have
visible characters only, and URLs are read strictly.

source   instant-http §4.9; spec/accounts.md AC90, AC91
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from trice import account_limits
from trice.accounts.accounts import SCOPES
from trice.auth.emails import find_email
from trice.auth.oauth.origins import read_url
from trice.errors import InvalidInput, invalid

_LOGO: Final = re.compile(r"data:image/(?:png|jpeg|webp|gif);base64,[A-Za-z0-9+/]+={0,2}")


class Definition(msgspec.Struct, frozen=True, omit_defaults=True):
    """What its developers say about an OAuth app; people read it before they allow anything.

    scopes      what it may ask for, of SCOPES
    is_public   whether everybody may use it; else members of its app
    logo        `data:` URL of a picture
    """

    name: str
    scopes: tuple[str, ...] = SCOPES
    is_public: bool = False
    support_email: str | None = None
    home_page: str | None = None
    privacy_policy: str | None = None
    terms: str | None = None
    logo: str | None = None


DEFINITIONS: Final = msgspec.json.Decoder(Definition)


def scopes_in(given: Any) -> tuple[str, ...]:
    """Scopes as OAuth writes them, parted by spaces, each once and in our order.

    raises   InvalidInput unless there are some, all known
    """
    words = given.split() if isinstance(given, str) else given
    if not isinstance(words, list) or not words or any(word not in SCOPES for word in words):
        problem = f"Scopes are some of {' '.join(SCOPES)}, parted by spaces."
        raise invalid("scope", None, [{"message": problem, "in": ["scope"]}])
    return tuple(scope for scope in SCOPES if scope in words)


def check_name(given: Any, key: str) -> str:
    """A name that people read on the page where they decide; raises InvalidInput.

    Characters that are not shown, or turn the direction of text, could make it read as another.
    """
    most = account_limits.OAUTH_NAME_CHARS_MAX
    name = given.strip() if isinstance(given, str) else ""
    if not name or len(name) > most or not name.isprintable():
        raise _wrong(key, f"A name has 1 to {most} characters, all of them visible.")
    return name


def check_redirect_url(given: Any, *, is_public: bool) -> str:
    """A URL that people may be sent back to; raises InvalidInput.

    Only https, and for an OAuth app that is not public http on the person's own machine.
    """
    url = read_url(given) if isinstance(given, str) else None
    is_short = url is not None and len(given) <= account_limits.OAUTH_URL_CHARS_MAX
    is_safe = url is not None and (
        url.scheme == "https" or (url.scheme == "http" and url.is_local and not is_public)
    )
    if url is None or not url.host or not is_short or not is_safe or url.fragment is not None:
        local = "" if is_public else ", or of http://localhost while the OAuth app is not public"
        problem = f"A URL to return to is one of https{local}, without a fragment or user name."
        raise _wrong("authorized_redirect_urls", problem)
    return str(given)


def read_definition(former: Definition, given: dict[str, Any]) -> Definition:
    """What a request says of an OAuth app; absent keys stay, null clears what may be absent."""
    changed: dict[str, Any] = {}
    if "app_name" in given or not former.name:
        changed["name"] = check_name(given.get("app_name"), "app_name")
    if given.get("granted_scopes") is not None:
        changed["scopes"] = scopes_in(given["granted_scopes"])
    if given.get("is_public") is not None:
        if not isinstance(given["is_public"], bool):
            raise _wrong("is_public", "It is true or false.")
        changed["is_public"] = given["is_public"]
    if "support_email" in given:
        email = find_email(given["support_email"])
        if email is None and given["support_email"] is not None:
            raise _wrong("support_email", "It is an e-mail address such as you@here.com.")
        changed["support_email"] = email
    for key, label in (
        ("app_home_page", "home_page"),
        ("app_privacy_policy_link", "privacy_policy"),
        ("app_tos_link", "terms"),
    ):
        if key in given:
            changed[label] = None if given[key] is None else _check_page(given[key], key)
    if "app_logo" in given:
        changed["logo"] = None if given["app_logo"] is None else _check_logo(given["app_logo"])
    return msgspec.structs.replace(former, **changed)


def _check_page(given: Any, key: str) -> str:
    """The URL of a page that people may open."""
    url = read_url(given) if isinstance(given, str) else None
    most = account_limits.OAUTH_URL_CHARS_MAX
    if url is None or not url.is_web or not url.host or len(given) > most:
        raise _wrong(key, f"It is a URL of http or https with at most {most:,} characters.")
    return str(given)


def _check_logo(given: Any) -> str:
    most = account_limits.OAUTH_LOGO_CHARS_MAX
    if not isinstance(given, str) or len(given) > most or _LOGO.fullmatch(given) is None:
        problem = f"It is a data: URL of a PNG, JPEG, WebP or GIF with at most {most:,} characters."
        raise _wrong("app_logo", problem)
    return given


def _wrong(key: str, problem: str) -> InvalidInput:
    return invalid("oauth-app", None, [{"message": problem, "in": [key]}])
