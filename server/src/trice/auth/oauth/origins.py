"""The origins that sign-in with OAuth may come from and return to. No I/O.

A redirect to a URL of an attacker hands over the account, so URLs are read strictly: one that this
file cannot read without doubt belongs to no origin.

source   instant-http §1.8, §5.7; spec/auth.md A80-A89
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote, urlencode

from trice import auth_limits
from trice.apps.settings import Origin, OriginService
from trice.errors import InvalidInput, invalid

_URL: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.\-]*):"
    r"(?://(?P<host>[a-z0-9.\-_]+|\[[0-9a-f:.]+\])?(?::(?P<port>[0-9]{1,5}))?(?=[/?#]|$))?"
    r"(?P<rest>[\x21-\x7e]*)",
    re.IGNORECASE | re.ASCII,
)
_UNSAFE: Final = re.compile(r"[^\x21-\x7e]|[\\\"<>`]")
"""Spaces, control characters, characters beyond ASCII (browsers send those encoded), and
backslashes, which browsers read as slashes."""

_HOST: Final = re.compile(r"(?:[a-z0-9](?:[a-z0-9.\-_]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9\-]*[a-z0-9])?")
_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.\-]*)(?::(?://)?)?")

RESERVED_SCHEMES: Final = frozenset(
    (
        *("http", "https", "ws", "wss", "ftp", "file", "javascript", "data", "vbscript", "blob"),
        *("about", "mailto", "tel", "sms", "view-source", "filesystem", "chrome", "intent"),
    )
)
"""Schemes that no app owns, or whose URLs carry content that runs."""

_LOCAL_HOSTS: Final = frozenset(("localhost", "127.0.0.1", "[::1]"))
_SERVICES: Final[Mapping[str, OriginService]] = {
    "generic": "generic",
    "netlify": "netlify",
    "vercel": "vercel",
    "custom-scheme": "custom-scheme",
}


@dataclass(frozen=True, slots=True)
class Url:
    """The parts of an absolute URL that decide to which origin it belongs, in lower case.

    host   "" when there is none: `myapp:open`
    port   as written; None when it is absent
    path   the part before query and fragment, as written
    """

    scheme: str
    host: str
    port: str | None
    path: str
    query: str | None
    fragment: str | None

    @property
    def host_and_port(self) -> str:
        return self.host if self.port is None else f"{self.host}:{self.port}"

    @property
    def is_web(self) -> bool:
        return self.scheme in ("http", "https")

    @property
    def is_local(self) -> bool:
        """Whether the URL leads to the machine of the person who follows it."""
        return self.host in _LOCAL_HOSTS or self.host.endswith(".localhost")


def read_url(text: object) -> Url | None:
    """Read an absolute URL; None for one that a browser might read differently."""
    if not isinstance(text, str) or len(text) > auth_limits.URL_CHARS_MAX or _UNSAFE.search(text):
        return None
    match = _URL.fullmatch(text)
    if match is None:
        return None
    scheme, host = match["scheme"].lower(), (match["host"] or "").lower()
    rest, hash_sign, fragment = match["rest"].partition("#")
    path, question_mark, query = rest.partition("?")
    if not host and (scheme in ("http", "https") or path.startswith("//")):
        # There is no host, or it cannot be read: with user info, or a port that is no number.
        return None
    return Url(
        scheme,
        host,
        match["port"],
        path,
        query if question_mark else None,
        fragment if hash_sign else None,
    )


def add_parameters(url: str, parameters: Mapping[str, str]) -> str:
    """`url` with more query parameters, before its fragment if it has one."""
    front, hash_sign, fragment = url.partition("#")
    separator = "?" if "?" not in front else "" if front.endswith(("?", "&")) else "&"
    return f"{front}{separator}{urlencode(parameters)}{hash_sign}{fragment}"


def is_authorized(text: object, origins: Iterable[Origin]) -> bool:
    """Whether one of `origins` covers the URL, or `Origin` header, `text`."""
    url = read_url(text)
    return url is not None and any(_covers(origin, url) for origin in origins)


def _covers(origin: Origin, url: Url) -> bool:
    params = origin.params
    match origin.service:
        case "custom-scheme":
            return url.scheme == _scheme_of(params[0])
        case "generic":
            # Any scheme, as in Instant, but for those that would run their content in our page.
            is_safe = url.is_web or url.scheme not in RESERVED_SCHEMES
            return is_safe and url.host_and_port == params[0].lower()
        case "netlify":
            return url.is_web and url.port is None and _is_netlify(url.host, params[0].lower())
        case "vercel":
            suffix, project = params[0].lower(), params[1].lower()
            return url.is_web and url.port is None and _is_vercel(url.host, suffix, project)


def _is_netlify(host: str, site: str) -> bool:
    label, _, suffix = host.partition(".")
    if suffix == "netlify.app" and label == site:
        return True
    preview = label.removesuffix(f"--{site}")
    return suffix in ("netlify.app", "netlify.live") and preview not in ("", label)


def _is_vercel(host: str, suffix: str, project: str) -> bool:
    """Whether the host is `project.suffix` or `project-<anything>.suffix`. `<anything>` has no dot,
    so that a longer domain that begins and ends alike does not count as the project's."""
    label = host.removesuffix(f".{suffix}")
    return label != host and "." not in label and (label + "-").startswith(f"{project}-")


def _scheme_of(param: str) -> str:
    match = _SCHEME.fullmatch(param.strip().lower())
    return "" if match is None else match[1]


def check_origin(service: Any, params: Any) -> tuple[OriginService, tuple[str, ...]]:
    """Check an origin that a developer wants to authorize.

    returns   service and params in the form that is stored
    raises    InvalidInput("validation-failed") that says what is accepted
    """
    known = _SERVICES.get(service) if isinstance(service, str) else None
    if known is None:
        raise _refuse(service, ["service"], f"The service must be one of {', '.join(_SERVICES)}.")
    if not isinstance(params, list) or not all(isinstance(param, str) for param in params):
        raise _refuse(params, ["params"], "The params must be a list of texts.")
    kept = tuple(param.strip().lower() for param in params)
    match known, kept:
        case "generic", (host,) if (
            _HOST.fullmatch(host) and len(host) <= auth_limits.HOST_CHARS_MAX
        ):
            return known, kept
        case "netlify", (site,) if _LABEL.fullmatch(site):
            return known, kept
        case "vercel", (suffix, project) if _HOST.fullmatch(suffix) and _LABEL.fullmatch(project):
            if "." in suffix and ":" not in suffix:
                return known, kept
        case "custom-scheme", (given,) if _scheme_of(given) not in ("", *RESERVED_SCHEMES):
            return known, kept
        case _:
            pass
    raise _refuse(params, ["params"], _ACCEPTED[known])


_ACCEPTED: Final[Mapping[OriginService, str]] = {
    "generic": "A generic origin takes one host, without scheme or path:"
    ' ["example.com"] or ["localhost:3000"].',
    "netlify": 'A netlify origin takes the name of a site: ["my-site"].',
    "vercel": 'A vercel origin takes a suffix and a project: ["vercel.app", "my-project"].',
    "custom-scheme": 'A custom scheme is the one of your app: ["myapp://"]. Schemes that'
    " browsers handle themselves, such as http and javascript, are not accepted.",
}


def check_redirect_to(text: Any) -> str:
    """Check the URL that a provider returns to in place of this server's own.

    raises   InvalidInput("validation-failed") unless it is an absolute https URL (http for
             localhost) without fragment, user info or path traversal
    """
    url = read_url(text)
    if (
        url is None
        or not url.host
        or not (url.scheme == "https" or (url.scheme == "http" and url.is_local))
        or url.fragment is not None
        or _is_climbing(url.path)
    ):
        raise invalid(
            "oauth-client",
            text,
            [
                {
                    "message": "redirect_to must be an https URL (http for localhost) without"
                    " fragment, user name and `..`.",
                    "in": ["redirect_to"],
                }
            ],
        )
    return str(text)


def _is_climbing(path: str) -> bool:
    # Decoded twice, since some servers do that.
    plain = unquote(unquote(path)).replace("\\", "/")
    return ".." in plain.split("/") or "//" in plain


def _refuse(given: Any, path: Sequence[str], message: str) -> InvalidInput:
    return invalid("origin", given, [{"message": message, "in": list(path)}])
