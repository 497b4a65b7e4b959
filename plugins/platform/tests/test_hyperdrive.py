"""Hyperdrive gives the parts of the local database's address."""

from __future__ import annotations

import pytest

from edgeagents.errors import ConfigError, EdgeAgentsError

pytestmark = pytest.mark.cloudflare("Workers", "Hyperdrive", "different: the local database itself, without a pool")

URL = "postgres://me:s%40fe@localhost/app"


async def test_the_parts_of_an_address(start):
    db = (await start("hyperdrive", {"id": "1", "localConnectionString": URL})).env.IT
    assert (db.host, db.port, db.user, db.password, db.database) == ("localhost", 5432, "me", "s@fe", "app")
    assert db.connection_string == URL
    assert "s%40fe" not in repr(db)
    with pytest.raises(EdgeAgentsError, match="Let the database's driver connect"):
        db.connect()


async def test_the_variable_of_the_process_goes_first(start, monkeypatch):
    other = "mysql://u:p@127.0.0.1:3307/d"
    monkeypatch.setenv("CLOUDFLARE_HYPERDRIVE_LOCAL_CONNECTION_STRING_IT", other)
    db = (await start("hyperdrive", {"id": "1", "localConnectionString": URL})).env.IT
    assert (db.connection_string, db.port) == (other, 3307)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        (None, "has no local database. Set its localConnectionString"),
        ("sqlite://a:b@h/d", "it begins with one of postgres:"),
        ("postgres://me:secretword@/app", "it has no host"),
        ("postgres://me@h/app", "it has no password"),
        ("postgres://:secretword@h/app", "it has no user"),
        ("postgres://me:secretword@h", "it has no name of a database"),
        ("postgres://me:secretword@h:x/app", "[Pp]ort"),
    ],
)
async def test_addresses_that_are_none_are_refused_without_their_password(start, url, text):
    with pytest.raises(ConfigError, match=text) as caught:
        await start("hyperdrive", {"id": "1", "localConnectionString": url})
    assert "secretword" not in str(caught.value)
