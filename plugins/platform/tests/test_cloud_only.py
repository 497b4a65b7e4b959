"""What has no local meaning says so, and version metadata are there."""

from __future__ import annotations

import re
from datetime import datetime
from uuid import UUID

import pytest
from edgeagents_platform import NoLocalMeaning
from edgeagents_platform.cloud_only import REFUSED

from edgeagents.errors import ConfigError

pytestmark = [
    pytest.mark.cloudflare("Workers", "Dispatch namespaces, VPC services", "different: an error when they are used"),
    pytest.mark.cloudflare(
        "Workers", "Stream, Media, Flagship, Artifacts, AI Search, log forwarding", "different: refused at the start"
    ),
    pytest.mark.cloudflare("Workers", "Version metadata", "same: each start is a version"),
]


@pytest.mark.parametrize(
    ("kind", "use", "text"),
    [
        ("dispatch_namespace", lambda it: it.get("customer"), "a namespace of workers .* Use a service binding"),
        ("vpc_service", lambda it: it.fetch("http://a/"), "a private network .* by its own address"),
        ("vpc_network", lambda it: it.connect("a:1"), "a private network"),
    ],
)
async def test_it_is_told_when_it_is_used(start, kind, use, text):
    runtime = await start(kind)
    with pytest.raises(NoLocalMeaning, match=text):
        await use(runtime.env.IT)


@pytest.mark.parametrize("kind", REFUSED)
async def test_it_is_told_at_the_start(start, kind):
    with pytest.raises(ConfigError, match=re.escape(f"The binding 'IT' is {REFUSED[kind]} of Cloudflare's")):
        await start(kind)


async def test_each_start_is_a_version(start, clock):
    version = (await start("version_metadata")).env.IT
    assert (UUID(version["id"]).version, version["tag"]) == (4, "")
    assert abs((datetime.fromisoformat(version["timestamp"]) - clock.now()).total_seconds()) < 0.001
    assert (await start("version_metadata")).env.IT["id"] != version["id"]
