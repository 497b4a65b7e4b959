"""Which pages may use an agent, by what a browser says of them."""

from __future__ import annotations

import pytest

from edgeagents.errors import ConfigError
from edgeagents.http import Request
from edgeagents.http.origins import Hosts, Origins, is_loopback

pytestmark = pytest.mark.cloudflare(
    "Agents",
    "pages of other sites",
    "different: a handshake, and a request that changes something, is refused with 403 unless `cors` or "
    "`allowed_origins` let the site in; there every site may",
)

HOST = "chat.example"
CORS = {"Access-Control-Allow-Origin": "*"}


def allows(origins: Origins, host: str = HOST, **headers: str) -> bool:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    refusal = origins.refusal(Request(f"https://{host}/agents/a/b", method="POST", headers={"host": host, **fields}))
    assert refusal is None or refusal.status == 403
    return refusal is None


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),  # No browser.
        ({"origin": "https://chat.example"}, True),
        ({"origin": "HTTPS://Chat.Example"}, True),
        ({"origin": "http://chat.example"}, True),  # TLS may end in front of the server: the scheme is not known.
        ({"origin": "https://chat.example:8443"}, False),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "https://chat.example.evil.example"}, False),
        ({"origin": "https://evilchat.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"origin": "https://chat.example, https://evil.example"}, False),
        ({"sec_fetch_site": "same-origin", "origin": "https://public.example"}, True),  # A proxy changed the host.
        ({"sec_fetch_site": "none"}, True),
        ({"sec_fetch_site": "cross-site"}, False),
        ({"sec_fetch_site": "same-site", "origin": "https://www.example"}, False),
        ({"sec_fetch_site": "cross-site", "origin": "https://chat.example"}, False),
        ({"sec_fetch_site": "something new", "origin": "https://chat.example"}, False),
        ({"sec_fetch_site": "", "origin": "https://chat.example"}, False),
    ],
)
def test_by_default_a_browser_must_be_on_a_page_of_the_same_origin(headers: dict[str, str], allowed: bool):
    assert allows(Origins(), **headers) is allowed


def test_listed_origins_may_come_with_cookies():
    origins = Origins(["https://app.example/", "http://old.example:80", "capacitor://localhost"])

    for origin in ("https://app.example", "http://old.example", "capacitor://localhost"):
        assert allows(origins, origin=origin, sec_fetch_site="cross-site", cookie="a=b")
    assert not allows(origins, origin="https://other.example", sec_fetch_site="cross-site")
    assert not allows(origins, origin="https://app.example:444")


def test_open_cors_is_for_every_site_without_cookies():
    origins = Origins(cors=CORS)

    assert allows(origins, origin="https://other.example", sec_fetch_site="cross-site")
    assert not allows(origins, origin="https://other.example", sec_fetch_site="cross-site", cookie="session=1")
    assert allows(origins, origin="https://chat.example", sec_fetch_site="same-origin", cookie="session=1")


def test_the_origin_of_cors_headers_is_allowed():
    origins = Origins(cors={"access-control-allow-origin": "https://a.example"})

    assert allows(origins, origin="https://a.example", cookie="session=1")
    assert not allows(origins, origin="https://b.example")


def test_a_star_is_an_explicit_opt_out():
    assert allows(Origins("*"), origin="https://evil.example", sec_fetch_site="cross-site", cookie="a=b")


@pytest.mark.parametrize(
    ("host", "origin", "site", "allowed"),
    [
        ("localhost:8787", "http://localhost:5173", "same-site", True),
        ("127.0.0.1:8787", "http://127.0.0.1:5173", "same-site", True),
        ("[::1]:8787", "http://[::1]:5173", None, True),
        ("localhost:8787", "http://127.0.0.1:5173", "cross-site", False),
        ("localhost:8787", "http://localhost.evil.example", None, False),
        ("localhost:8787", "http://evil.example", "cross-site", False),
        ("chat.example", "http://localhost:5173", None, False),
    ],
)
def test_servers_of_one_machine_may_use_each_other(host: str, origin: str, site: str | None, allowed: bool):
    headers = {"origin": origin} | ({} if site is None else {"sec_fetch_site": site})

    assert allows(Origins(), host, **headers) is allowed


@pytest.mark.parametrize("allowed", ["https://a.example", ["a.example"], ["https://a.example/path"], [""]])
def test_what_is_no_origin_is_refused_when_it_is_said(allowed: object):
    with pytest.raises(ConfigError):
        Origins(allowed)  # pyright: ignore[reportArgumentType]


def test_the_refusal_does_not_repeat_what_is_no_origin():
    request = Request("https://a/", method="POST", headers={"origin": "<script>"})
    refusal = Origins().refusal(request)

    assert refusal is not None
    assert refusal.body == b"Pages of another site may not use this agent."


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        *(("example.com", True), ("EXAMPLE.com:80", True), ("example.com.", True), ("www.example.com", False)),
        *(("a.example.org", True), ("example.org", True), ("evilexample.org", False), ("", False), ("[::1]:1", True)),
    ],
)
def test_a_server_answers_to_its_names(host: str, allowed: bool):
    assert Hosts(["example.com", ".example.org", "::1"]).allows(host) is allowed
    assert Hosts(["*"]).allows(host)


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:1", "a.localhost", "127.0.0.1:80", "127.9.9.9", "[::1]", "::1"]
)
def test_loopback_names_lead_to_this_machine(host: str):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "0.0.0.0", "10.0.0.1", ""]
)
def test_other_names_may_lead_anywhere(host: str):
    assert not is_loopback(host)
