"""An index keeps, finds and refuses as Vectorize does."""

from __future__ import annotations

import math
import random
import threading
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from edgeagents_vectorize import InvalidOption, VectorizeError, VectorizeIndex, plugin
from edgeagents_vectorize.nearest import nearest
from edgeagents_vectorize.store import IndexStore

from edgeagents import Runtime
from edgeagents.bindings import BindingDeclaration
from edgeagents.errors import ConfigError
from edgeagents.stores import Stores
from edgeagents.testing import ManualClock
from edgeagents.worker import Worker

pytestmark = pytest.mark.cloudflare(
    "Workers",
    "Vectorize indexes",
    "different: what was written is found at once, and every property of the metadata can be filtered by",
)

FILMS = [
    {"id": "a", "values": [1, 0], "metadata": {"genre": "drama", "year": 1999, "studio": {"name": "A"}}},
    {"id": "b", "values": [0.8, 0.6], "metadata": {"genre": "comedy", "year": 2005, "is_long": True}},
    {"id": "c", "values": [0, 2], "metadata": {"genre": "drama", "year": 2010}, "namespace": "old"},
    {"id": "d", "values": [-3, 0]},
]


def index_in(stores: Stores, name: str = "films") -> VectorizeIndex:
    return VectorizeIndex(IndexStore(stores, name), ManualClock(), random.Random(1))


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    made = Stores(tmp_path)
    yield made
    made.close()


@pytest.fixture
async def index(stores: Stores) -> VectorizeIndex:
    made = index_in(stores)
    await made.insert(FILMS)
    return made


def ids(found: dict[str, Any]) -> list[str]:
    assert found["count"] == len(found["matches"])
    return [match["id"] for match in found["matches"]]


async def test_the_nearest_come_first_with_their_cosine(index):
    found = await index.query([1, 0])
    assert ids(found) == ["a", "b", "c", "d"]
    assert [match["score"] for match in found["matches"]] == pytest.approx([1, 0.8, 0, -1])
    assert found["matches"][2] == {"id": "c", "score": 0.0, "namespace": "old"}


@pytest.mark.parametrize(
    ("metric", "order", "scores"),
    [
        ("euclidean", ["a", "b", "c", "d"], [0, math.sqrt(0.4), math.sqrt(5), 4]),
        ("dot-product", ["a", "b", "c", "d"], [-1, -0.8, 0, 3]),
    ],
)
async def test_other_metrics_have_other_scores(metric, order, scores):
    binding = BindingDeclaration("I", "vectorize", {"index_name": "i", "metric": metric})
    async with runtime(binding) as running:
        await running.env.I.insert(FILMS)
        found = await running.env.I.query([1, 0])
    assert ids(found) == order
    assert [match["score"] for match in found["matches"]] == pytest.approx(scores)


async def test_matches_carry_what_is_asked_for(index):
    found = await index.query([1, 0], top_k=1, return_values=True, return_metadata="all")
    (match,) = found["matches"]
    assert (match["values"], match["metadata"]) == ([1.0, 0.0], FILMS[0]["metadata"])
    (match,) = (await index.query([1, 0], top_k=1, return_metadata="indexed"))["matches"]
    assert match["metadata"] == {"genre": "drama", "year": 1999}
    (match,) = (await index.query([1, 0], top_k=1, return_metadata=False))["matches"]
    assert match.keys() == {"id", "score"}


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({"genre": "drama"}, ["a", "c"]),
        ({"genre": {"$ne": "drama"}}, ["b", "d"]),
        ({"year": {"$gte": 2000, "$lt": 2010}}, ["b"]),
        ({"year": {"$gt": 1999}, "genre": {"$in": ["drama", "noir"]}}, ["c"]),
        ({"genre": {"$nin": ["drama"]}, "is_long": True}, ["b"]),
        ({"studio.name": "A"}, ["a"]),
        ({"year": {"$lt": "2000"}}, []),
        ({"year": None}, ["d"]),
        ({"is_long": 1}, []),
    ],
)
async def test_filters_choose_by_metadata(index, filter, expected):
    assert ids(await index.query([1, 0], filter=filter)) == expected


async def test_a_namespace_is_searched_alone(index):
    assert ids(await index.query([1, 0], namespace="old")) == ["c"]
    assert ids(await index.query([1, 0], namespace="new")) == []


async def test_the_filter_goes_before_the_count(index):
    assert ids(await index.query([1, 0], top_k=1, filter={"genre": "comedy"})) == ["b"]


async def test_what_is_near_to_a_vector_of_the_index(index):
    assert ids(await index.query_by_id("b", top_k=2)) == ["b", "a"]
    with pytest.raises(VectorizeError, match='there is no vector with id="x"'):
        await index.query_by_id("x")


async def test_insert_leaves_what_is_there_and_upsert_replaces_it(index):
    made = await index.insert([{"id": "a", "values": [5, 5]}, {"id": "e", "values": [1, 1]}])
    assert [one["values"] for one in await index.get_by_ids(["e", "a", "nowhere"])] == [[1, 1], [1, 0]]
    again = await index.upsert([{"id": "a", "values": [5, 5], "namespace": "n"}])
    assert await index.get_by_ids(["a"]) == [{"id": "a", "values": [5, 5], "namespace": "n"}]
    assert made["mutationId"] != again["mutationId"]
    assert (await index.describe())["processedUpToMutation"] == again["mutationId"]


async def test_what_was_deleted_is_not_found(index):
    await index.query([1, 0])
    await index.delete_by_ids(["a", "nowhere"])
    assert ids(await index.query([1, 0], top_k=1)) == ["b"]
    assert (await index.describe())["vectorCount"] == 3


async def test_vectors_may_be_bytes_of_floats(stores):
    index = index_in(stores)
    await index.insert([{"id": "a", "values": array("f", [1, 2]).tobytes()}])
    await index.insert([{"id": "b", "values": memoryview(array("d", [3, 4]))}])
    assert [one["values"] for one in await index.get_by_ids(["a", "b"])] == [[1, 2], [3, 4]]
    with pytest.raises(TypeError, match="whole 32-bit floats"):
        await index.query(b"abc")


async def test_an_empty_index_finds_nothing(stores):
    index = index_in(stores)
    assert await index.query([1, 2, 3]) == {"count": 0, "matches": []}
    assert await index.describe() == {
        "dimensions": 0,
        "vectorCount": 0,
        "processedUpToDatetime": None,
        "processedUpToMutation": None,
    }


async def test_another_process_finds_what_was_written(tmp_path, index):
    second = Stores(tmp_path)
    other = index_in(second)
    assert ids(await other.query([1, 0], top_k=1)) == ["a"]
    await index.delete_by_ids(["a"])
    assert ids(await other.query([1, 0], top_k=1)) == ["b"]
    second.close()
    assert [path.name for path in tmp_path.rglob("*.sqlite")] == ["films.sqlite"]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in tmp_path.rglob("*.sqlite"))


@pytest.mark.parametrize(
    ("vector", "code", "text"),
    [
        ({"id": "x", "values": [1, 2, 3]}, 40012, 'for id="x", expected 2 dimensions, and got 3 dimensions'),
        ({"id": "é" * 33, "values": [1, 2]}, 40008, "id too long; max is 64 bytes, got 66 bytes"),
        ({"values": [1, 2]}, 40026, "needs an id"),
        ({"id": "x", "values": [1, 2], "namespace": "n" * 65}, 40009, "max is 64 bytes, got 65 bytes"),
        ({"id": "x", "values": [1, 2], "metadata": {"a.b": 1}}, 40018, "invalid metadata key 'a.b'"),
        ({"id": "x", "values": [1, 2], "metadata": {"a": "x" * 10_240}}, 40016, "max is 10240 bytes, got 10248"),
    ],
)
async def test_vectors_that_cannot_be_kept_are_refused_with_all_of_their_call(index, vector, code, text):
    with pytest.raises(VectorizeError, match=rf"VECTOR_UPSERT_ERROR \(code = {code}\): .*{text}") as caught:
        await index.upsert([{"id": "good", "values": [1, 1]}, vector])
    assert caught.value.code == code
    assert await index.get_by_ids(["good"]) == []


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"top_k": 101}, "40025.: max top K is 100, but got 101"),
        ({"top_k": 51, "return_values": True}, "40025.: with returnValues=true or returnMetadata=all, max top K is 50"),
        ({"top_k": 0}, "positive integer"),
        ({"filter": {}}, "not empty"),
        ({"filter": {"a": {"$or": []}}}, "'a' has \\$or"),
        ({"filter": {"a": {"$in": []}}}, "needs a list"),
        ({"filter": {"$a": 1}}, "no key of metadata"),
        ({"filter": {"a": {"$lt": True}}}, "needs a number or text"),
    ],
)
async def test_queries_that_mean_nothing_are_refused(index, options, text):
    with pytest.raises(VectorizeError, match=text):
        await index.query([1, 0], **options)


async def test_a_query_has_the_dimensions_of_the_index(index):
    text = r"VECTOR_QUERY_ERROR \(code = 40006\): invalid query vector, expected 2 dimensions, and got 1 dimensions"
    with pytest.raises(VectorizeError, match=text):
        await index.query([1])
    with pytest.raises(InvalidOption, match="Invalid returnMetadata option"):
        await index.query([1, 0], return_metadata="some")


async def test_calls_have_limits(stores):
    index = index_in(stores)
    with pytest.raises(VectorizeError, match="max is 1000, got 1001"):
        await index.insert([{"id": str(n), "values": [n]} for n in range(1001)])
    with pytest.raises(VectorizeError, match="1 to 1536 dimensions, and got 1537"):
        await index.insert([{"id": "x", "values": [0] * 1537}])
    with pytest.raises(TypeError, match="finite"):
        await index.insert([{"id": "x", "values": [math.inf]}])
    with pytest.raises(VectorizeError, match="a list that is not empty"):
        await index.insert([])


def runtime(*bindings: BindingDeclaration, storage: Path | None = None) -> Runtime:
    return Runtime(Worker("w", bindings=bindings), storage=storage, plugins=[plugin], discover_plugins=False)


async def test_bindings_agree_on_what_an_index_is(tmp_path):
    def index(**options: Any) -> BindingDeclaration:
        return BindingDeclaration("I", "vectorize", {"index_name": "i", **options})

    async with runtime(index(dimensions=3, metric="euclidean"), storage=tmp_path) as running:
        with pytest.raises(VectorizeError, match="expected 3 dimensions"):
            await running.env.I.insert([{"id": "x", "values": [1]}])
    for options, text in (
        ({"metric": "cosine"}, "is there already, with metric euclidean, not cosine"),
        ({"dimensions": 4}, "with dimensions 3, not 4"),
        ({"metric": "manhattan"}, "metrics are cosine, euclidean, dot-product"),
    ):
        with pytest.raises(ConfigError, match=text):
            await runtime(index(**options), storage=tmp_path).start()


async def test_a_large_index_is_read_and_searched_beside_the_event_loop(stores):
    index = index_in(stores, "large")
    rng = random.Random(7)
    vectors = [
        {"id": f"v{n:04}", "values": [rng.uniform(-1, 1) for _ in range(512)], "metadata": {"even": n % 2 == 0}}
        for n in range(1000)
    ]
    await index.insert(vectors)
    loop_thread = threading.get_ident()
    seen: list[int] = []

    def nearest_here(*args: Any) -> list[Any]:
        seen.append(threading.get_ident())
        return nearest(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgeagents_vectorize.index.nearest", nearest_here)
        found = await index.query(vectors[41]["values"], top_k=1)
        even = await index.query(vectors[41]["values"], top_k=1, filter={"even": True})
    assert (ids(found), ids(even) != ["v0041"]) == (["v0041"], True)
    assert loop_thread not in seen
    await index.upsert([{"id": "new", "values": vectors[41]["values"]}])
    await index.delete_by_ids(["v0041"])
    assert ids(await index.query(vectors[41]["values"], top_k=1)) == ["new"]
