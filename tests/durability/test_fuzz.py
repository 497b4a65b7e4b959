"""Whatever strangers send: no 500, no traceback, nothing outside of the state folder, no word of one agent to another.

Frames, paths, names, headers, bodies, SQL and configurations are made up by Hypothesis: valid ones with something
wrong in them, and noise. Two agents hold a secret each, in all of their storages, and another one stands in the
environment: none may ever come out. (schemathesis has nothing to go by here: agents have no OpenAPI description.)

``EDGEAGENTS_EXAMPLES`` says how many examples each test makes.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from edgeagents import Agent, AgentsMiddleware, AIChatAgent, callable
from edgeagents.errors import ConfigError
from edgeagents.http import Request
from tests.asgi.client import http_scope
from tests.durability.ledger import nothing
from wrangler_compat.config import read_config

EXAMPLES = int(os.environ.get("EDGEAGENTS_EXAMPLES", "400"))
CANARY = "canary-of-another-agent"
OF_THE_ENVIRONMENT = "canary-of-the-environment"
fuzzed = settings(
    max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck), print_blob=True
)


class Notes(Agent):
    """Does to its storage what it is asked to, and tells what it was sent."""

    initial_state = {"n": 0}

    async def on_request(self, request: Request) -> Any:
        match request.path.rsplit("/", 1)[-1]:
            case "json":
                return {"got": await request.json()}
            case "form":
                return {"fields": [name for name, _ in (await request.form()).multi_items()]}
            case "text":
                return await request.text()
            case _:
                return {"name": self.name, "headers": len(list(request.headers.items()))}

    @callable()
    async def keep(self, secret: str) -> None:
        self.set_state({"n": 1, "secret": secret})
        await self.ctx.storage.put("secret", secret)
        self.sql("create table if not exists secrets (secret)")
        self.sql("insert into secrets values (?)", secret)
        self.streams.open("log").append(secret)

    @callable()
    async def run_sql(self, text: str) -> Any:
        return str(self.ctx.storage.sql.exec(text).to_array()[:20])

    @callable()
    async def n(self) -> int:
        return self.state["n"]

    @callable()
    def echo(self, *values: Any) -> Any:
        return values


class Bot(AIChatAgent):
    async def on_chat_message(self) -> Any:
        yield "hello"


class House:
    """An app with secrets in it, whose requests are made one after another."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        self.loop = asyncio.new_event_loop()
        self.app = AgentsMiddleware(
            nothing,
            agents=[Notes, Bot],
            storage=self.folder / "inner" / "state",
            env={"API_KEY": OF_THE_ENVIRONMENT},
            durability="normal",
            discover_plugins=False,
        )
        self.statuses: dict[int, int] = {}
        self.talks = 0
        self.loop.run_until_complete(self._hide())

    async def _hide(self) -> None:
        for path in ("/agents/notes/hidden", "/agents/notes/hidden too"):
            await self.talk(path, [json.dumps({"type": "rpc", "id": "1", "method": "keep", "args": [CANARY]})])

    def run(self, coroutine: Any) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(coroutine, 20))

    async def ask(self, **scope: Any) -> tuple[int, bytes]:
        """Make a request; return status and all that was answered, headers too."""
        body = scope.pop("body", b"")
        full = {**http_scope(), **scope}
        messages = [{"type": "http.request", "body": body, "more_body": False}]
        sent: list[dict[str, Any]] = []
        over = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            await over.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.app(full, receive, send)
        status = sent[0]["status"]
        self.statuses[status] = self.statuses.get(status, 0) + 1
        heads = b"\n".join(name + b": " + value for name, value in sent[0]["headers"])
        return status, heads + b"".join(message.get("body", b"") for message in sent[1:])

    async def talk(self, path: str, frames: list[str | bytes]) -> tuple[int | None, str]:
        """Open a socket, send frames, leave; return the close code that the app sent, if any, and all it said."""
        scope = {**http_scope(path), "type": "websocket", "scheme": "ws", "subprotocols": []}
        del scope["method"]
        coming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        coming.put_nowait({"type": "websocket.connect"})
        for frame in frames:
            kind = "text" if isinstance(frame, str) else "bytes"
            coming.put_nowait({"type": "websocket.receive", "text": None, "bytes": None, kind: frame})
        self.talks += 1
        said: list[str] = []
        code: int | None = None

        async def send(message: dict[str, Any]) -> None:
            nonlocal code
            if message["type"] == "websocket.close":
                code = message.get("code", 1000)
                said.append(str(message.get("reason", "")))
                coming.put_nowait({"type": "websocket.disconnect", "code": code})
            else:
                said.append(str(message.get("text") or message.get("bytes") or ""))

        talking = asyncio.ensure_future(self.app(scope, coming.get, send))
        while not talking.done() and not coming.empty():
            await asyncio.sleep(0)
        for _ in range(30):
            await asyncio.sleep(0)
        coming.put_nowait({"type": "websocket.disconnect", "code": 1001})
        await talking
        return code, "\n".join(said)

    def check(self, output: str | bytes, *, may_tell: str = "") -> None:
        """Nothing of the inside, of another agent or of the environment is in ``output``."""
        text = output.decode("utf-8", "replace") if isinstance(output, bytes) else output
        for word in ("Traceback", 'File "', "site-packages", str(self.folder), CANARY, OF_THE_ENVIRONMENT):
            assert word not in text or word in may_tell, f"{word!r} came out: {text[:500]!r}"

    def check_files(self) -> None:
        """Every file is where the layout has it."""
        for path in self.folder.rglob("*"):
            name = path.relative_to(self.folder).as_posix()
            assert LAYOUT.fullmatch(name) or path.is_dir(), f"A file that nobody knows: {name}"

    def close(self) -> None:
        self.loop.run_until_complete(self.app.runtime.stop())
        self.loop.close()
        shutil.rmtree(self.folder)


LAYOUT = re.compile(
    r"inner/state/(owner\.lock|owners(/.*)?|alarms\.sqlite[\w-]*|"
    r"objects/(Notes|Bot)/[0-9a-f]{64}\.(sqlite[\w-]*|facets/.*|history/.*))"
)


@pytest.fixture(scope="module")
def house(request: pytest.FixtureRequest) -> Iterator[House]:
    logging.disable(logging.CRITICAL)
    house = House()
    yield house
    house.check_files()
    house.close()
    logging.disable(logging.NOTSET)
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        statuses = ", ".join(f"{status}: {count}" for status, count in sorted(house.statuses.items()))
        print(
            f"\nfuzzed with {EXAMPLES} examples a test: {sum(house.statuses.values())} requests ({statuses}), "
            f"{house.talks} sockets; 500s, tracebacks, strange files and canaries: 0"
        )


names = st.one_of(
    st.text(max_size=30),
    st.binary(max_size=20).map(lambda data: quote(data)),
    st.sampled_from(
        ["..", "../../x", "..%2f..%2fx", "%00", "a/b", "\\..\\x", "con", "x" * 3000, "é", "%ff", "a.sqlite"]
    ),
)
paths = st.one_of(
    st.builds(
        lambda agent, name, rest: f"/agents/{agent}/{name}{rest}",
        st.sampled_from(["notes", "bot", "Notes", ""]),
        names,
        st.sampled_from(["", "/", "/json", "/form", "/text", "/sub/notes/x", "/get-messages", "/../hidden"]),
    ),
    st.text(max_size=40).map(lambda text: f"/{text}"),
    st.text(max_size=40).map(lambda text: f"/agents/{text}"),
)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
header_values = st.binary(max_size=40).filter(lambda data: not set(data) & {0, 10, 13})
headers = st.lists(
    st.tuples(
        st.sampled_from(
            [
                b"content-type",
                b"accept",
                b"range",
                b"if-none-match",
                b"cookie",
                b"origin",
                b"last-event-id",
                b"upgrade",
                b"content-length",
                b"content-encoding",
                b"x-forwarded-for",
                b"authorization",
                b"x-partykit-room",
                b"x-y",
            ]
        ),
        header_values
        | st.sampled_from(
            [
                b"application/json",
                b"multipart/form-data; boundary=x",
                b"text/event-stream",
                b"application/x-www-form-urlencoded; charset=nonsense",
                b"bytes=0-",
                b"gzip",
            ]
        ),
    ),
    max_size=6,
)


def scope_of(path: str) -> dict[str, Any]:
    """What a server makes of a path: raw bytes, and the text that they stand for."""
    before, _, query = path.partition("?")
    raw = quote(before.encode("utf-8", "surrogatepass"), safe="/%.~-_")
    return {"path": unquote(raw, errors="replace"), "raw_path": raw.encode(), "query_string": quote(query).encode()}


@fuzzed
@given(
    path=paths,
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "QUERY", "X"]),
    fields=headers,
    body=st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()),
)
def test_no_request_is_answered_with_a_500(
    house: House, path: str, method: str, fields: list[tuple[bytes, bytes]], body: bytes
) -> None:
    scope = {**scope_of(path), "method": method, "headers": [(b"host", b"testserver"), *fields], "body": body}
    status, answer = house.run(house.ask(**scope))
    assert status < 500 or status == 501, (status, scope)
    house.check(answer, may_tell=body.decode("utf-8", "replace") + path)


@fuzzed
@given(name=names)
def test_a_name_is_data_and_no_part_of_a_path(house: House, name: str) -> None:
    status, answer = house.run(house.ask(**scope_of(f"/agents/notes/{quote(name, errors='replace', safe='')}")))
    assert status < 500
    house.check(answer)
    house.check_files()


AGENT_FRAMES = ["cf_agent_state", "rpc", "cf_agent_identity", "cf_agent_mcp_servers", "cf_agent_session", "x", ""]
CHAT_FRAMES = [
    "cf_agent_use_chat_request",
    "cf_agent_chat_clear",
    "cf_agent_chat_messages",
    "cf_agent_chat_request_cancel",
    "cf_agent_stream_resume_request",
    "cf_agent_stream_resume_ack",
    "cf_agent_tool_result",
    "cf_agent_tool_approval",
    "cf_agent_use_chat_response",
]
fields_of_frames = st.fixed_dictionaries(
    {"type": st.sampled_from(AGENT_FRAMES + CHAT_FRAMES) | json_values},
    optional={
        "id": st.text(max_size=10) | json_values,
        "method": st.sampled_from(["keep", "echo", "n", "set_state", "sql", "__init__", "on_request", "ctx"])
        | json_values,
        "args": st.lists(json_values, max_size=3) | json_values,
        "state": json_values,
        "init": json_values
        | st.fixed_dictionaries(
            {"method": st.just("POST"), "body": st.text(max_size=30) | json_values.map(json.dumps)}
        ),
        "messages": st.lists(
            st.fixed_dictionaries(
                {
                    "id": st.text(max_size=5),
                    "role": st.sampled_from(["user", "assistant", "system", "x"]),
                    "parts": st.lists(
                        json_values | st.fixed_dictionaries({"type": st.just("text"), "text": st.text()}), max_size=2
                    ),
                }
            ),
            max_size=2,
        )
        | json_values,
        "toolCallId": json_values,
        "output": json_values,
        "approved": json_values,
        "probeId": json_values,
    },
)
frames = st.one_of(
    fields_of_frames.map(json.dumps),
    json_values.map(json.dumps),
    st.text(max_size=60),
    st.binary(max_size=60),
    st.integers(1, 3000).map(lambda depth: '{"type":"rpc","args":' + "[" * depth),
)


@fuzzed
@given(agent=st.sampled_from(["notes", "bot"]), sent=st.lists(frames, min_size=1, max_size=6))
def test_no_frame_breaks_an_agent(house: House, agent: str, sent: list[str | bytes]) -> None:
    code, said = house.run(house.talk(f"/agents/{agent}/fuzzed", sent))
    assert code not in (1006, 1011), (code, said[-300:])
    house.check(said, may_tell=str(sent))
    _, after = house.run(
        house.talk(f"/agents/{agent}/fuzzed?_pk=after", ['{"type":"rpc","id":"1","method":"no","args":[]}'])
    )
    assert '"success":false' in after, "the agent answers no more"


sql = st.one_of(
    st.lists(
        st.sampled_from(
            [
                "select",
                "*",
                "from",
                "attach",
                "database",
                "'x.sqlite'",
                "'../x.sqlite'",
                "as",
                "x",
                "vacuum",
                "into",
                "load_extension('x')",
                "readfile('/etc/passwd')",
                "writefile('x', 'y')",
                "edit('x')",
                "pragma",
                "journal_mode",
                "=",
                "delete",
                "temp_store_directory",
                "'/tmp'",
                "data_store_directory",
                "writable_schema",
                "1",
                "begin",
                "commit",
                "_cf_METADATA",
                "_cf_KV",
                "_cf_ALARMS",
                "sqlite_schema",
                "sqlite_dbpage",
                "dbstat",
                "main",
                ".",
                ";",
                "--",
                "/*",
                "*/",
                "create",
                "virtual",
                "table",
                "using",
                "fts5(x)",
                "csv(filename='/etc/passwd')",
                "insert",
                "values",
                "(1)",
                "with",
                "recursive",
                "explain",
                "detach",
                "reindex",
                "analyze",
                "drop",
                "trigger",
                "view",
                "union",
                "fts3_tokenizer('x', x'00')",
                "randomblob(1000000000)",
                "zeroblob(99999999999)",
                "printf('%1000000000d', 1)",
            ]
        ),
        min_size=1,
        max_size=12,
    ).map(" ".join),
    st.text(max_size=60),
)


@fuzzed
@given(text=sql)
def test_no_sql_leaves_its_database(house: House, text: str) -> None:
    frame = json.dumps({"type": "rpc", "id": "1", "method": "run_sql", "args": [text]})
    code, said = house.run(house.talk("/agents/notes/sql", [frame]))
    assert code is None, (code, said)
    assert '"type":"rpc"' in said
    house.check(said, may_tell=text)
    assert "root:" not in said
    house.check_files()
    _, after = house.run(house.talk("/agents/notes/sql", ['{"type":"rpc","id":"1","method":"n","args":[]}']))
    assert '"success":true' in after, f"after {text!r} the agent is broken: {after}"


BASE = {
    "name": "worker",
    "main": "entry.py",
    "compatibility_date": "2026-01-01",
    "compatibility_flags": ["python_workers"],
    "vars": {"A": "b"},
    "durable_objects": {"bindings": [{"name": "X", "class_name": "X"}]},
    "migrations": [{"tag": "v1", "new_sqlite_classes": ["X"]}],
    "triggers": {"crons": ["* * * * *"]},
    "kv_namespaces": [{"binding": "K", "id": "k"}],
    "assets": {"directory": "public", "binding": "ASSETS"},
    "queues": {"producers": [{"binding": "Q", "queue": "q"}], "consumers": [{"queue": "q"}]},
    "workflows": [{"binding": "W", "name": "w", "class_name": "W"}],
    "env": {"staging": {"vars": {"A": "c"}}},
    "d1_databases": [{"binding": "D", "database_name": "d", "database_id": "d"}],
    "ai": {"binding": "AI"},
    "services": [{"binding": "S", "service": "s"}],
    "rules": [{"type": "Text", "globs": ["*"]}],
}


def places(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield here
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in inner:
        yield from places(below, (*here, key))


def with_change(place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    changed = json.loads(json.dumps(BASE))
    at = changed
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = new
    return changed


texts = st.one_of(
    st.builds(with_change, st.sampled_from(list(places(BASE))), json_values).map(json.dumps),
    st.builds(lambda cut: json.dumps(BASE)[:cut], st.integers(0, 900)),
    st.text(max_size=80),
)


@fuzzed
@given(
    text=texts, suffix=st.sampled_from(["jsonc", "json", "toml"]), environment=st.sampled_from([None, "staging", "x"])
)
def test_no_configuration_is_an_error_of_ours(text: str, suffix: str, environment: str | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"wrangler.{suffix}"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            config = read_config(path, environment=environment)
        except ConfigError:
            return
        assert config.name is not None
        for diagnostic in config.diagnostics:
            assert str(diagnostic)
