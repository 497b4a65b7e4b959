"""A rate limit counts, forgets and refuses as Cloudflare's does."""

from __future__ import annotations

from datetime import timedelta

import pytest
from edgeagents_platform import RateLimitError

from edgeagents.errors import ConfigError

pytestmark = pytest.mark.cloudflare("Workers", "Rate limiting", "same")

TWICE = {"namespace_id": "7", "simple": {"limit": 2, "period": 10}}


async def passes(binding, /, **options) -> bool:
    return (await binding.limit(**options))["success"]


@pytest.fixture
async def at_a_window(clock):
    """Move the clock to where a window begins."""
    await clock.advance(60 - clock.now().timestamp() % 60)


async def test_each_key_has_its_own_count_until_the_window_ends(start, clock, at_a_window):
    limit = (await start("ratelimit", TWICE)).env.IT
    assert [await passes(limit, key="a") for _ in range(3)] == [True, True, False]
    assert await passes(limit, key="b")
    await clock.advance(9.9)
    assert not await passes(limit, key="a")
    await clock.advance(0.2)
    assert await passes(limit, key="a")


async def test_limit_and_period_may_be_given(start, at_a_window):
    limit = (await start("ratelimit", TWICE)).env.IT
    assert [await passes(limit, key="a", limit=1, period=60) for _ in range(2)] == [True, False]
    assert await passes(limit, key="a")
    assert not await passes(limit, key="c", limit=0)


async def test_processes_of_one_folder_count_together(start, tmp_path, at_a_window):
    first = (await start("ratelimit", TWICE, storage=tmp_path)).env.IT
    second = (await start("unsafe_ratelimit", TWICE, storage=tmp_path)).env.IT
    assert [await passes(one, key="a") for one in (first, second, first, second)] == [True, True, False, False]


async def test_counters_of_windows_that_are_over_are_forgotten(start, clock, tmp_path, at_a_window):
    runtime = await start("ratelimit", TWICE, storage=tmp_path)
    for n in range(5):
        await passes(runtime.env.IT, key=str(n))
    await clock.advance(timedelta(seconds=10).total_seconds())
    await passes(runtime.env.IT, key="\ud800")
    counters = runtime.stores.open("ratelimits", "7", ()).execute("SELECT count(*) FROM counters").fetchone()
    assert counters == (1,)


@pytest.mark.parametrize(
    ("args", "options", "text"),
    [
        (["key"], {}, "invalid rate limit options"),
        ([], {}, "invalid rate limit options"),
        ([{"key": "a", "x": 1, "y": 2}], {}, r"bad rate limit options: \[x,y\]"),
        ([], {"key": 7}, "invalid key: 7"),
        ([], {"key": "a", "limit": "2"}, "limit must be a number: 2"),
        ([], {"key": "a", "period": True}, "period must be a number: True"),
        ([], {"key": "a", "period": 30}, "unsupported period: 30"),
    ],
)
async def test_options_that_mean_nothing_are_refused(start, args, options, text):
    limit = (await start("ratelimit", TWICE)).env.IT
    with pytest.raises(RateLimitError, match=text):
        await limit.limit(*args, **options)


async def test_a_binding_says_how_much_it_allows(start):
    with pytest.raises(ConfigError, match="The rate limit 'IT' needs"):
        await start("ratelimit", {"namespace_id": "7", "simple": {"limit": 2, "period": 5}})
