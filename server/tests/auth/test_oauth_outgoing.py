"""Requests to providers: where they may go, and how much they may bring."""

from __future__ import annotations

import asyncio
import threading

import orjson
import pytest

from support.identity_provider import IdentityProvider, rsa_key
from support.patience import WAIT_S
from support.runtime import FakeRuntime
from trice import auth_limits
from trice.auth.oauth import outgoing as outgoing_module
from trice.auth.oauth.documents import Discovery, Documents, KeySet
from trice.auth.oauth.outgoing import Outgoing
from trice.errors import PermissionDenied, Unavailable
from trice.public_addresses import is_public


@pytest.fixture
def runtime():
    return FakeRuntime()


@pytest.fixture
async def idp(runtime):
    """A provider on loopback."""
    opened = IdentityProvider(runtime.now_ms)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def addresses():
    """What each host name resolves to; none: no such host."""
    return ["127.0.0.1"]


@pytest.fixture
def asked():
    """Each look-up of a name, with its port."""
    return []


@pytest.fixture
def allows_private_hosts():
    return True


@pytest.fixture
async def every(idp, addresses, asked, allows_private_hosts):
    """The requests of all apps."""

    async def resolve(host: str, port: int) -> list[str]:
        asked.append((host, port))
        if not addresses:
            raise OSError("no such host")
        return addresses

    opened = Outgoing(allows_private_hosts=allows_private_hosts, resolve=resolve)
    yield opened
    await opened.close()


@pytest.fixture
def outgoing(every):
    """The requests of one app."""
    return every.of("app")


async def fails(outgoing, url, message):
    with pytest.raises(PermissionDenied, match=message) as caught:
        await outgoing.get(url)
    assert caught.value.code == "oauth-error"


@pytest.mark.rule("A94")
@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2001:4860:4860::8888", True),
        ("127.0.0.1", False),
        ("127.8.8.8", False),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("192.0.0.192", False),
        ("::ffff:192.0.0.192", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::10.0.0.1", False),
        ("2002:7f00:1::", False),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", False),
    ],
)
def test_which_addresses_are_public(address, public):
    assert is_public(address) is public


@pytest.mark.rule("A94")
@pytest.mark.parametrize("allows_private_hosts", [False])
@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::1"]])
async def test_private_addresses_are_not_asked(outgoing, idp):
    await fails(outgoing, f"https://id.example:{idp.base[-5:]}/", "not on the public internet")
    await fails(outgoing, "https://127.0.0.1/", "not on the public internet")
    assert idp.hits == {}


@pytest.mark.rule("A94")
@pytest.mark.parametrize(
    "url", ["http://id.example/", "ftp://id.example/", "file:///etc/passwd", "", "//x"]
)
@pytest.mark.parametrize("allows_private_hosts", [False])
async def test_https_only(outgoing, asked, url):
    await fails(outgoing, url, "address that is not")
    assert asked == []


@pytest.mark.rule("A95")
async def test_the_address_looked_up_is_the_one_asked(outgoing, idp, asked):
    port = int(idp.base.rpartition(":")[2])
    answer = await outgoing.get(f"http://id.example:{port}/jwks?x=1", token="t")
    assert answer.is_ok
    assert asked == [("id.example", port)]
    [(path, fields, headers)] = idp.seen
    assert (path, fields) == ("/jwks", {"x": "1"})
    assert headers["host"] == f"id.example:{port}"
    assert headers["authorization"] == "Bearer t"


@pytest.mark.rule("A95")
@pytest.mark.parametrize("addresses", [[]])
async def test_a_host_without_an_address(outgoing):
    await fails(outgoing, "https://id.example/", "host is unknown")


@pytest.mark.rule("A95")
async def test_a_host_that_does_not_listen(outgoing):
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    await fails(outgoing, f"http://id.example:{port}/", "cannot be reached")


@pytest.mark.rule("A96")
async def test_redirects_stay_on_the_host(outgoing, idp):
    idp.faults["/a"] = (302, b"", {"location": "/jwks"})
    assert "keys" in (await outgoing.get(f"{idp.base}/a")).body
    for location in ("http://other.example/", "https://127.0.0.1/", "http://127.0.0.1:1/"):
        idp.faults["/a"] = (302, b"", {"location": location})
        await fails(outgoing, f"{idp.base}/a", "redirected to another host")
    idp.faults["/a"] = (302, b"", {"location": "file:///etc/passwd"})
    await fails(outgoing, f"{idp.base}/a", "not a valid https URL")
    idp.faults["/a"] = (302, b"", {"location": "/a"})
    idp.hits.clear()
    await fails(outgoing, f"{idp.base}/a", "redirected too often")
    assert idp.hits["/a"] == auth_limits.OUTGOING_REDIRECTS_MAX + 1


@pytest.mark.rule("A96")
async def test_a_secret_is_never_sent_on(outgoing, idp):
    idp.faults["/token"] = (307, b"", {"location": "/elsewhere"})
    answer = await outgoing.post(f"{idp.base}/token", {"client_secret": "x"})
    assert not answer.is_ok
    assert "/elsewhere" not in idp.hits


@pytest.mark.rule("A97")
async def test_answers_are_bounded(outgoing, idp):
    idp.faults["/a"] = (200, b"x" * (auth_limits.OUTGOING_BYTES_MAX + 1), {})
    await fails(outgoing, f"{idp.base}/a", "too large")
    idp.faults["/a"] = (200, b"x", {"content-encoding": "gzip"})
    await fails(outgoing, f"{idp.base}/a", "compressed")
    for body in (b"<html>", b"7", b'"x"', b"", b"[" * 5000):
        idp.faults["/a"] = (200, body, {})
        assert (await outgoing.get(f"{idp.base}/a")).body == {}


@pytest.mark.rule("A97")
async def test_waiting_is_bounded(outgoing, idp, monkeypatch):
    await outgoing.get(f"{idp.base}/jwks")
    monkeypatch.setattr(auth_limits, "OUTGOING_TIMEOUT_MS", 1)
    idp.gate = asyncio.Event()
    await fails(outgoing, f"{idp.base}/jwks", "did not answer in time|cannot be reached")
    idp.gate.set()


@pytest.mark.rule("A97")
async def test_requests_at_once_are_bounded(outgoing, idp, monkeypatch):
    monkeypatch.setattr(auth_limits, "OUTGOING_CALLS_MAX", 2)
    idp.gate = asyncio.Event()
    calls = [asyncio.create_task(outgoing.get(f"{idp.base}/jwks")) for _ in range(3)]
    with pytest.raises(Unavailable, match="Too many sign-ins are under way"):
        await calls[2]
    idp.gate.set()
    assert all(answer.is_ok for answer in await asyncio.gather(*calls[:2]))


@pytest.mark.rule("A98")
async def test_documents_are_read_once_an_hour(outgoing, idp, runtime):
    documents = Documents(runtime)
    url = f"{idp.base}/jwks"
    found = await asyncio.gather(*(documents.keys(url, outgoing) for _ in range(5)))
    assert idp.hits["/jwks"] == 1
    assert all(each is found[0] for each in found)
    runtime.advance(auth_limits.PROVIDER_DOCUMENT_MS - 1)
    await documents.keys(url, outgoing)
    assert idp.hits["/jwks"] == 1
    runtime.advance(1)
    await documents.keys(url, outgoing)
    assert idp.hits["/jwks"] == 2


@pytest.mark.rule("A98")
async def test_few_documents_are_kept(outgoing, idp, runtime, monkeypatch):
    monkeypatch.setattr(auth_limits, "PROVIDER_DOCUMENTS_MAX", 2)
    documents = Documents(runtime)
    for path in ("jwks?1", "jwks?2", "jwks?3", "jwks?3", "jwks?1"):
        await documents.keys(f"{idp.base}/{path}", outgoing)
    assert idp.hits["/jwks"] == 4


# --- what is kept, and whose share it is ---------------------------------------------------------

FAT = "x" * 200_000


@pytest.mark.rule("A245")
async def test_of_documents_only_what_is_used_is_kept(outgoing, idp, runtime):
    documents = Documents(runtime)
    discovery = {"issuer": "https://a.example", "jwks_uri": "https://a.example/k", "more": FAT}
    discovery["id_token_signing_alg_values_supported"] = ["RS256", FAT, 7, "ES256", "RS256"]
    key = rsa_key("r1").as_dict(private=False)
    idp.faults["/d"] = (200, orjson.dumps(discovery), {})
    idp.faults["/k"] = (200, orjson.dumps({"keys": [{**key, "x5c": [FAT]}]}), {})
    for n in range(50):
        found = await documents.discovery(f"{idp.base}/d?{n}", outgoing)
        key_set = await documents.keys(f"{idp.base}/k?{n}", outgoing)
    assert (found.issuer, found.jwks_uri) == ("https://a.example", "https://a.example/k")
    assert found.algorithms == ("RS256", "ES256")
    assert key_set.keys == (key,)
    assert documents.size_bytes < 50 * 5_000


@pytest.mark.rule("A245")
@pytest.mark.parametrize(
    "key",
    [
        7,
        {},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": ["RSA"]},
        {"kty": "RSA", "n": "x" * (auth_limits.JWK_MEMBER_CHARS_MAX + 1), "e": "AQAB"},
        {"kty": "RSA", "n": {"a": 1}, "e": "AQAB"},
        {"kty": "RSA", "n": "x" * 342, "e": "AQAB", "key_ops": ["encrypt"]},
        {"kty": "RSA", "n": "x" * 342, "e": "AQAB", "key_ops": {"verify": 1}},
    ],
)
def test_what_is_no_public_key_is_not_kept(key):
    assert KeySet.parse({"keys": [key]}).keys == ()


@pytest.mark.rule("A245")
def test_a_provider_of_unknown_algorithms_does_not_get_the_usual_ones():
    assert Discovery.parse({"id_token_signing_alg_values_supported": ["none"]}).algorithms == ()
    assert Discovery.parse({"id_token_signing_alg_values_supported": []}).algorithms != ()


@pytest.mark.rule("A246")
async def test_an_app_with_many_documents_loses_its_own(every, outgoing, idp, runtime, monkeypatch):
    monkeypatch.setattr(auth_limits, "PROVIDER_DOCUMENTS_MAX", 4)
    documents = Documents(runtime)
    other = every.of("other")
    await documents.keys(f"{idp.base}/jwks?other", other)
    for n in range(9):
        await documents.keys(f"{idp.base}/jwks?{n}", outgoing)
    idp.hits.clear()
    await documents.keys(f"{idp.base}/jwks?other", other)
    await documents.keys(f"{idp.base}/jwks?8", outgoing)
    assert idp.hits == {}


@pytest.mark.rule("A246")
async def test_documents_have_a_bound_in_bytes(outgoing, idp, runtime, monkeypatch):
    monkeypatch.setattr(auth_limits, "PROVIDER_DOCUMENTS_BYTES_MAX", 20_000)
    documents = Documents(runtime)
    for n in range(9):
        await documents.keys(f"{idp.base}/jwks?{n}", outgoing)
        assert documents.size_bytes <= 20_000


@pytest.mark.rule("A247")
@pytest.mark.parametrize("bound", ["PER_APP", "PER_HOST", "EPHEMERAL"])
async def test_a_provider_that_does_not_answer_costs_its_app_only(every, idp, monkeypatch, bound):
    monkeypatch.setattr(auth_limits, f"OUTGOING_CALLS_{bound}_MAX", 2)
    same = {"PER_APP": "app", "PER_HOST": "third", "EPHEMERAL": "third"}[bound]
    idp.gate = asyncio.Event()
    url = f"{idp.base}/jwks"
    dead = [asyncio.create_task(every.of("app", is_ephemeral=True).get(url)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="Too many sign-ins are under way"):
        await every.of(same, is_ephemeral=True).get(url)
    elsewhere = url.replace("127.0.0.1", "other.example")
    other = asyncio.create_task(every.of("other").get(elsewhere))
    idp.gate.set()
    assert all(answer.is_ok for answer in await asyncio.gather(*dead, other))
    assert every.holds_nothing


@pytest.mark.rule("A247")
async def test_a_look_up_that_hangs_counts_until_it_ends(monkeypatch):
    monkeypatch.setattr(auth_limits, "OUTGOING_TIMEOUT_MS", 1)
    monkeypatch.setattr(auth_limits, "OUTGOING_CALLS_PER_APP_MAX", 1)
    may_end = threading.Event()

    def look_up(host, port):
        may_end.wait(WAIT_S)
        return ["127.0.0.1"]

    monkeypatch.setattr(outgoing_module, "look_up", look_up)
    outgoing = Outgoing(allows_private_hosts=True)
    requests = outgoing.of("app")
    await fails(requests, "http://id.example/", "did not answer in time")
    with pytest.raises(Unavailable):
        await requests.get("http://id.example/")
    # Names are looked up on threads of their own: those of the loop stay free.
    assert await asyncio.to_thread(lambda: 1) == 1
    may_end.set()
    async with asyncio.timeout(WAIT_S):
        while not outgoing.holds_nothing:  # noqa: ASYNC110 - a thread ends in its own time
            await asyncio.sleep(0)
    await outgoing.close()


@pytest.mark.rule("A248")
async def test_a_reading_that_does_not_happen_leaves_what_was_known(
    outgoing, idp, runtime, monkeypatch
):
    documents = Documents(runtime)
    url = f"{idp.base}/jwks"
    known = await documents.keys(url, outgoing)
    runtime.advance(auth_limits.PROVIDER_KEYS_RETRY_MS)
    idp.gate = asyncio.Event()
    cut_off = asyncio.create_task(documents.newer_keys(url, outgoing))
    await asyncio.sleep(0)
    cut_off.cancel()
    await asyncio.gather(cut_off, return_exceptions=True)
    idp.gate.set()
    assert await documents.keys(url, outgoing) is known
    monkeypatch.setattr(auth_limits, "OUTGOING_CALLS_PER_APP_MAX", 0)
    with pytest.raises(Unavailable):
        await documents.newer_keys(url, outgoing)
    assert await documents.keys(url, outgoing) is known
