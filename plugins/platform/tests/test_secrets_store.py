"""Secrets come from the worker's variables, or from the state folder."""

from __future__ import annotations

import json

import pytest
from edgeagents_platform import SecretNotFound

from edgeagents.redaction import HIDDEN, redact

pytestmark = pytest.mark.cloudflare(
    "Workers", "Secrets Store", "different: values come from `.dev.vars`, or a file of the state folder"
)

OPTIONS = {"store_id": "a1", "secret_name": "api_key"}


async def test_a_secret_is_a_variable_of_its_name(start):
    runtime = await start("secrets_store_secret", OPTIONS, env={"api_key": "from-the-variables"})
    assert await runtime.env.IT.get() == "from-the-variables"
    assert redact("it was from-the-variables") == f"it was {HIDDEN}"
    assert repr(runtime.env.IT) == "<StoreSecret api_key>"


async def test_a_secret_stands_in_the_file_of_its_store(start, tmp_path):
    runtime = await start("secrets_store_secret", OPTIONS, storage=tmp_path)
    file = tmp_path / "secrets_store" / "a1.json"
    with pytest.raises(SecretNotFound, match=r'Secret "api_key" not found. Set api_key in .dev.vars, or in .*a1.json'):
        await runtime.env.IT.get()
    file.write_text(json.dumps({"api_key": "kept"}))
    assert await runtime.env.IT.get() == "kept"
    file.write_text("kept")
    with pytest.raises(SecretNotFound, match="are not JSON"):
        await runtime.env.IT.get()


async def test_a_secret_too_weak_to_be_hidden_is_told(start, caplog):
    options = {"store_id": "a1", "secret_name": "weak_key"}
    runtime = await start("secrets_store_secret", options, env={"weak_key": "short"})
    assert (await runtime.env.IT.get(), await runtime.env.IT.get()) == ("short", "short")
    assert [record.getMessage() for record in caplog.records].count(
        "The secret weak_key is shorter than 6 characters: logs and error pages may show it. Give it a longer value."
    ) == 1
