"""The lock file names packages and their hashes, not the place they were fetched from."""

from __future__ import annotations

import json
from pathlib import Path

HERE = Path(__file__).parent
LOCK = json.loads((HERE / "package-lock.json").read_text())


def test_no_package_names_where_it_was_fetched() -> None:
    assert [name for name, package in LOCK["packages"].items() if "resolved" in package] == []


def test_every_package_has_a_hash() -> None:
    assert [name for name, package in LOCK["packages"].items() if name and "integrity" not in package] == []


def test_the_clients_are_pinned() -> None:
    asked = json.loads((HERE / "package.json").read_text())["dependencies"]

    assert asked["agents"] == LOCK["packages"]["node_modules/agents"]["version"] == "0.32.0"
    assert asked["@cloudflare/ai-chat"] == LOCK["packages"]["node_modules/@cloudflare/ai-chat"]["version"] == "0.12.2"
