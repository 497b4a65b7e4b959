"""Models for one thing with a text: translating and summing up. A chat model is told to do it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edgeagents_ai.asking import answer_of, invalid

if TYPE_CHECKING:
    from edgeagents.models import ResolvedModel

__all__ = ["run_summary", "run_translation"]


async def run_translation(model: ResolvedModel, inputs: Mapping[str, Any], env: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``{"translated_text"}``. Inputs: ``text``, ``target_lang``, ``source_lang`` (English)."""
    text, target = inputs.get("text"), inputs.get("target_lang", inputs.get("target_language"))
    if not isinstance(text, str) or not target:
        raise invalid("Error: required properties at '/' are 'text', 'target_lang'")
    source = inputs.get("source_lang") or "en"
    system = f"Translate what the user writes from {source} to {target}. Answer with the translation only."
    return {"translated_text": (await answer_of(model, _asked(system, text), env)).text}


async def run_summary(model: ResolvedModel, inputs: Mapping[str, Any], env: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``{"summary"}``. Inputs: ``input_text``, ``max_length`` in words."""
    text = inputs.get("input_text")
    if not isinstance(text, str):
        raise invalid("Error: required properties at '/' are 'input_text'")
    length = int(inputs.get("max_length") or 1024)
    system = f"Sum up what the user writes, in at most {length} words. Answer with the summary only."
    return {"summary": (await answer_of(model, _asked(system, text), env)).text}


def _asked(system: str, text: str) -> dict[str, Any]:
    return {"messages": [{"role": "system", "content": system}, {"role": "user", "content": text}]}
