"""Names: from a model of Cloudflare's to who answers for it here.

The binding's ``models`` in the configuration, and the variable ``EDGEAGENTS_AI_MODELS`` (the same as JSON, which goes
first), map names to ``provider:model``. A ``*`` in a name stands for anything. What is not mapped is answered by the
offline model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from edgeagents.errors import ConfigError, ModelError
from edgeagents_ai.catalogue import check_name
from edgeagents_ai.errors import InferenceUpstreamError

if TYPE_CHECKING:
    from edgeagents.models import ModelRegistry, ResolvedModel

__all__ = ["VARIABLE", "ModelNames"]

VARIABLE: Final = "EDGEAGENTS_AI_MODELS"


class ModelNames:
    """The names that a binding knows. ``env`` is the worker's, which is looked at when a model is asked for."""

    def __init__(self, registry: ModelRegistry, env: Mapping[str, Any], configured: Mapping[str, Any]) -> None:
        self._registry, self.env = registry, env
        self._configured = _checked(configured, "The binding's models")

    def mapped(self) -> dict[str, str]:
        """Return the map: names, or patterns of them, to ``provider:model``."""
        first, second = self._maps()
        return {**second, **first}

    def _maps(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        value = self.env.get(VARIABLE)
        if isinstance(value, str) and value:
            try:
                value = json.loads(value)
            except ValueError as error:
                raise ConfigError(f"{VARIABLE} is not JSON: {error}") from error
        return _checked(value, VARIABLE) if value else {}, self._configured

    def find(self, model: Any) -> ResolvedModel | None:
        """Return who answers for ``model``, or None when nobody in particular does.

        ``provider:model`` means itself. Raises ``InferenceUpstreamError`` for a name that is none.
        """
        chosen = self._chosen(model)
        if chosen is None:
            check_name(model)
            return None
        return self._resolve(chosen)

    def resolve(self, model: Any) -> ResolvedModel:
        """Return who answers for ``model`` in text: the offline model when nobody else does."""
        return self.find(model) or self._resolve(f"offline:{model}")

    def _chosen(self, model: Any) -> str | None:
        if not isinstance(model, str):
            return None
        for mapped in self._maps():
            found = mapped.get(model) or next((to for name, to in mapped.items() if fnmatchcase(model, name)), None)
            if found is not None:
                return found
        provider, colon, _ = model.partition(":")
        return model if colon and self._registry.get(provider) is not None else None

    def _resolve(self, name: str) -> ResolvedModel:
        try:
            return self._registry.resolve(name, self.env)
        except ModelError as error:
            raise InferenceUpstreamError(str(error)) from error


def _checked(models: Any, what: str) -> dict[str, str]:
    if not isinstance(models, Mapping) or not all(isinstance(v, str) and ":" in v for v in models.values()):
        raise ConfigError(
            f"{what} must be an object of names, each with who answers for it: "
            '{"@cf/meta/llama-3.1-8b-instruct": "openai:gpt-4o-mini"}.'
        )
    return {str(name): model for name, model in models.items()}
