"""Which addresses belong to an app: a table of what attackers try."""

from __future__ import annotations

import pytest

from trice import auth_limits
from trice.apps.settings import Origin
from trice.auth.oauth.origins import (
    add_parameters,
    check_origin,
    check_redirect_to,
    is_authorized,
    read_url,
)
from trice.errors import InvalidInput


def origin(service, *params):
    return Origin("00000000-0000-4000-8000-000000000000", service, params, 0)


GOOD = origin("generic", "good.com")


@pytest.mark.rule("A80")
@pytest.mark.parametrize(
    ("param", "url", "is_covered"),
    [
        ("good.com", "https://good.com", True),
        ("good.com", "https://good.com/", True),
        ("good.com", "http://good.com/in?a=b#c", True),
        ("good.com", "HTTPS://GOOD.com/In", True),
        ("good.com", "https://good.com?x", True),
        ("good.com", "https://good.com#x", True),
        ("good.com", "myapp://good.com/x", True),
        ("Good.com", "https://good.com", True),
        ("good.com", "https://good.com:443/", False),
        ("good.com", "https://www.good.com/", False),
        ("good.com", "https://good.com.evil.com/", False),
        ("good.com", "https://evilgood.com/", False),
        ("good.com", "https://good.com./", False),
        ("localhost:3000", "http://localhost:3000/x", True),
        ("localhost:3000", "http://localhost:3001/x", False),
        ("localhost:3000", "http://localhost/x", False),
        ("localhost", "http://localhost:3000/x", False),
        ("[::1]:3000", "http://[::1]:3000/x", True),
        ("192.168.0.2:8081", "exp://192.168.0.2:8081/--/", True),
    ],
)
def test_generic_origins_are_exact(param, url, is_covered):
    assert is_authorized(url, [origin("generic", param)]) is is_covered


@pytest.mark.rule("A81")
@pytest.mark.parametrize(
    ("url", "is_covered"),
    [
        ("https://site.netlify.app/", True),
        ("https://preview-1--site.netlify.app/", True),
        ("https://preview-1--site.netlify.live/", True),
        ("https://site.netlify.live/", False),
        ("https://--site.netlify.app/", False),
        ("https://other.netlify.app/", False),
        ("https://evilsite.netlify.app/", False),
        ("https://x--site.evil.netlify.app/", False),
        ("https://x--site.netlify.app.evil.com/", False),
        ("https://evil.com/--site.netlify.app", False),
        ("https://site.netlify.app:8443/", False),
        ("ftp://site.netlify.app/", False),
    ],
)
def test_netlify_covers_a_site_and_its_previews(url, is_covered):
    assert is_authorized(url, [origin("netlify", "site")]) is is_covered


@pytest.mark.rule("A82")
@pytest.mark.parametrize(
    ("url", "is_covered"),
    [
        ("https://proj.vercel.app/", True),
        ("https://proj-git-main-team.vercel.app/", True),
        ("https://proj-a1b2c3.vercel.app/in", True),
        ("https://project.vercel.app/", False),
        ("https://proj-evilvercel.app/", False),
        ("https://proj.evil.vercel.app/", False),
        ("https://proj-x.evil.vercel.app/", False),
        ("https://proj-x.vercel.app.evil.com/", False),
        ("https://vercel.app/", False),
        ("https://other.vercel.app/", False),
        ("https://proj.vercel.app:8443/", False),
    ],
)
def test_vercel_covers_a_project_and_its_previews(url, is_covered):
    assert is_authorized(url, [origin("vercel", "vercel.app", "proj")]) is is_covered


@pytest.mark.rule("A83")
@pytest.mark.parametrize("param", ["myapp://", "myapp:", "myapp", " MyApp:// "])
@pytest.mark.parametrize(
    ("url", "is_covered"),
    [
        ("myapp://", True),
        ("myapp://in?x=1", True),
        ("MYAPP://in", True),
        ("myapp:in", True),
        ("myapp:///in", True),
        ("myapp2://in", False),
        ("https://myapp/", False),
        ("myapp://a@b/", False),
    ],
)
def test_custom_schemes(param, url, is_covered):
    assert is_authorized(url, [origin("custom-scheme", param)]) is is_covered


TRICKS = [
    "https://good.com@evil.com/",
    "https://good.com:80@evil.com/",
    "https://evil.com\\@good.com/",
    "https://evil.com\\.good.com/",
    "https:\\\\good.com",
    "https://user@good.com/",
    "https://user:pass@good.com/",
    "https://@good.com/",
    "https:/good.com",
    "https:good.com",
    "https:///good.com",
    "//good.com",
    "good.com",
    "/in",
    "https://good.com%2eevil.com/",
    "https://good.com%00.evil.com/",
    "https://good.com:/",
    "https://good.com:x/",
    "https://good.com:999999/",
    "https://good。com/",
    "https://ｇood.com/",
    "https://góod.com/",
    "https://good.com/é",
    "https://good.com /",
    " https://good.com/",
    "https://good.com/\n",
    "https://go\tod.com/",
    "https://good.com/\x00",
    'https://good.com/"onload="x',
    "https://good.com/<script>",
    "javascript://good.com/%0aalert(1)",
    "data://good.com/,x",
    "vbscript://good.com/",
    "file://good.com/etc/passwd",
    "blob://good.com/",
    "view-source://good.com/",
    "",
    "null",
    None,
    7,
    "https://good.com/" + "x" * auth_limits.URL_CHARS_MAX,
]


@pytest.mark.rule("A84")
@pytest.mark.parametrize("url", TRICKS)
def test_tricks_are_nobodys(url):
    assert is_authorized("https://good.com/", [GOOD])
    assert not is_authorized(url, [GOOD])


@pytest.mark.rule("A84")
def test_nothing_is_covered_by_no_origin():
    assert not is_authorized("https://good.com/", [])


@pytest.mark.rule("A84")
def test_parts_are_read_as_browsers_read_them():
    url = read_url("HTTPS://Good.com:8443/a//b?x=1?y#z#w")
    assert (url.scheme, url.host_and_port, url.path) == ("https", "good.com:8443", "/a//b")
    assert (url.query, url.fragment) == ("x=1?y", "z#w")
    bare = read_url("https://good.com")
    assert (bare.path, bare.query, bare.fragment) == ("", None, None)


@pytest.mark.rule("A85")
@pytest.mark.parametrize(
    ("service", "params", "kept"),
    [
        ("generic", ["Good.com "], ("good.com",)),
        ("generic", ["localhost:3000"], ("localhost:3000",)),
        ("generic", ["[::1]:3000"], ("[::1]:3000",)),
        ("netlify", ["my-site"], ("my-site",)),
        ("vercel", ["vercel.app", "my-project"], ("vercel.app", "my-project")),
        ("custom-scheme", ["myapp://"], ("myapp://",)),
        ("custom-scheme", ["com.example.app"], ("com.example.app",)),
    ],
)
def test_origins_are_kept_in_lower_case(service, params, kept):
    assert check_origin(service, params) == (service, kept)


@pytest.mark.rule("A85")
@pytest.mark.parametrize(
    ("service", "params"),
    [
        (None, ["x"]),
        ("heroku", ["x"]),
        (["generic"], ["x"]),
        ("generic", None),
        ("generic", "good.com"),
        ("generic", []),
        ("generic", [""]),
        ("generic", [7]),
        ("generic", ["a.com", "b.com"]),
        ("generic", ["https://good.com"]),
        ("generic", ["good.com/"]),
        ("generic", ["*.good.com"]),
        ("generic", ["user@good.com"]),
        ("generic", ["good.com:"]),
        ("generic", ["x" * 300]),
        ("netlify", ["a.b"]),
        ("netlify", [""]),
        ("vercel", ["vercel.app"]),
        ("vercel", ["app", "p"]),
        ("vercel", ["vercel.app:1", "p"]),
        ("vercel", ["vercel.app", "a.b"]),
        ("custom-scheme", ["http://"]),
        ("custom-scheme", ["HTTPS"]),
        ("custom-scheme", ["javascript:"]),
        ("custom-scheme", ["data"]),
        ("custom-scheme", ["my app"]),
        ("custom-scheme", ["myapp://host"]),
        ("custom-scheme", [""]),
    ],
)
def test_wrong_origins_are_refused(service, params):
    with pytest.raises(InvalidInput) as caught:
        check_origin(service, params)
    assert caught.value.code == "validation-failed"
    assert caught.value.hint["errors"][0]["in"] in (["service"], ["params"])


@pytest.mark.rule("A86")
@pytest.mark.parametrize(
    "url",
    [
        "https://site.example/callback",
        "https://site.example:8443/a.b/c?x=1",
        "http://localhost:3000/cb",
        "http://127.0.0.1/cb",
        "http://app.localhost/cb",
    ],
)
def test_redirect_to_may_be(url):
    assert check_redirect_to(url) == url


@pytest.mark.rule("A86")
@pytest.mark.parametrize(
    "url",
    [
        "http://site.example/",
        "/callback",
        "//site.example/",
        "myapp://callback",
        "https://site.example/#x",
        "https://site.example/#",
        "https://user@site.example/",
        "https://site.example/a/../b",
        "https://site.example/a/%2e%2e/b",
        "https://site.example/a/%252e%252e/b",
        "https://site.example/a/..%2fb",
        "https://site.example/..%5cb",
        "https://site.example//b",
        "http://localhost.evil.com/",
        "javascript:alert(1)",
        None,
        7,
    ],
)
def test_redirect_to_may_not_be(url):
    with pytest.raises(InvalidInput, match="redirect_to must be an https URL"):
        check_redirect_to(url)


@pytest.mark.rule("A87")
@pytest.mark.parametrize(
    ("url", "added"),
    [
        ("https://a.com", "https://a.com?x=1+%26"),
        ("https://a.com/?", "https://a.com/?x=1+%26"),
        ("https://a.com/?y=2", "https://a.com/?y=2&x=1+%26"),
        ("https://a.com/?y=2&", "https://a.com/?y=2&x=1+%26"),
        ("https://a.com/#/in?z", "https://a.com/?x=1+%26#/in?z"),
        ("myapp://", "myapp://?x=1+%26"),
    ],
)
def test_parameters_are_added_before_the_fragment(url, added):
    assert add_parameters(url, {"x": "1 &"}) == added
