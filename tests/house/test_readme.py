"""The README's code runs as it stands there."""

from __future__ import annotations

import json
import re
from pathlib import Path

from asgiref.testing import ApplicationCommunicator

README = (Path(__file__).parents[2] / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


async def post(app, path: str) -> dict:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost")],
    }
    client = ApplicationCommunicator(app, scope)
    await client.send_input({"type": "http.request", "body": b"", "more_body": False})
    start = await client.receive_output(5)
    assert start["status"] == 200
    body = await client.receive_output(5)
    return json.loads(body["body"])


async def test_the_first_example_counts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code, *_) = blocks("python")
    names: dict[str, object] = {"__name__": "readme"}
    exec(compile(code, "README.md", "exec"), names)
    app = names["app"]
    assert await post(app, "/bump/ann") == {"n": 2}
    assert await post(app, "/bump/ann") == {"n": 4}
    assert await post(app, "/bump/bob") == {"n": 2}
    assert len(list((tmp_path / "state").rglob("*.sqlite"))) >= 2


def test_the_two_pasted_lines_are_one_line_each():
    for mark in ("run-command", "test-command"):
        (line,) = re.findall(rf"<!-- {mark} -->\n```bash\n(.*?)```", README, re.DOTALL)
        assert line.count("\n") == 1
