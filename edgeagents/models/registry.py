"""The registry of models: from a name such as ``openai:gpt-4o`` to who answers for it.

A ``Runtime`` fills one with what plugins bring; a program without a runtime makes its own. The offline provider is
always in it. With ``fallback`` a provider that lacks its key is stood in for: the emulator asks for that, so that a
fresh checkout answers something, and the middleware does not, so that production never pretends.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from edgeagents.errors import ModelError, PluginError
from edgeagents.models.offline import OfflineProvider
from edgeagents.models.provider import Continues, ModelHandle, ModelProvider, NeedsSetup
from edgeagents.objects.clock import Clock, SystemClock
from edgeagents.objects.spellings import did_you_mean

__all__ = ["ModelLike", "ModelRegistry", "ResolvedModel"]

ModelLike: TypeAlias = str | ModelHandle

_log = logging.getLogger("edgeagents.models")


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model that can be called.

    ``name`` finds the same model again when ``is_reopenable``. ``stands_in_for`` is the name that was asked for
    when another model answers in its place, and ``reason`` says why. ``clock`` is what a turn waits by before it asks
    again.
    """

    provider: ModelProvider
    model: str
    name: str
    is_reopenable: bool = True
    stands_in_for: str | None = None
    reason: str | None = None
    clock: Clock = field(default_factory=SystemClock, compare=False)

    @property
    def is_free(self) -> bool:
        """Whether nobody is paid for it: the offline model is."""
        return isinstance(self.provider, OfflineProvider)

    @property
    def can_continue(self) -> bool:
        """Whether the provider can go on with an answer that was interrupted."""
        return isinstance(self.provider, Continues) and self.provider.continues


class ModelRegistry:
    """Model providers by name.

    ``fallback`` is the name of the provider that answers for one that is not set up, or None to raise
    ``ModelError`` then.
    """

    def __init__(
        self,
        providers: Iterable[ModelProvider] = (),
        *,
        clock: Clock | None = None,
        fallback: str | None = None,
        logger: logging.Logger = _log,
    ) -> None:
        self.fallback = fallback
        self._clock = clock or SystemClock()
        self._logger = logger
        self._providers: dict[str, ModelProvider] = {}
        self._noted: set[str] = set()
        self.add(OfflineProvider(self._clock))
        for provider in providers:
            self.add(provider)

    def add(self, provider: ModelProvider) -> None:
        """Let ``provider`` answer for its models. Raises ``PluginError`` when its name is taken or unusable."""
        name = provider.name
        if not name or ":" in name:
            raise PluginError(
                f"{_origin(provider)} calls itself {name!r}; a provider's name is not empty and has no ':'."
            )
        if name in self._providers:
            raise PluginError(
                f"Two model providers are called {name!r}: {_origin(self._providers[name])} and {_origin(provider)}. "
                "Uninstall one of them."
            )
        self._providers[name] = provider

    @property
    def names(self) -> list[str]:
        """The names of the providers, sorted."""
        return sorted(self._providers)

    def get(self, name: str) -> ModelProvider | None:
        """Return the provider called ``name``, or None."""
        return self._providers.get(name)

    def resolve(self, model: ModelLike, env: Mapping[str, Any] | None = None) -> ResolvedModel:
        """Return who answers for ``model``.

        Raises ``ModelError`` when no installed provider does, or when it is not set up and nothing stands in.
        """
        if isinstance(model, ModelHandle):
            provider, model_id, is_reopenable = model.provider, model.model, model.is_reopenable
        else:
            provider, model_id = self._find(model)
            is_reopenable = True
        name = f"{provider.name}:{model_id}"
        missing = provider.missing(env or {}) if isinstance(provider, NeedsSetup) else None
        if missing is None:
            return ResolvedModel(provider, model_id, name, is_reopenable, clock=self._clock)
        stand_in = self._providers.get(self.fallback or "")
        if stand_in is None or stand_in is provider:
            raise ModelError(f"The model {name!r} cannot answer: {missing}")
        if provider.name not in self._noted:
            self._noted.add(provider.name)
            self._logger.warning("The %s model answers in place of %s: %s", stand_in.name, name, missing)
        full_name = f"{stand_in.name}:{model_id}"
        return ResolvedModel(stand_in, model_id, full_name, stands_in_for=name, reason=missing, clock=self._clock)

    def _find(self, model: str) -> tuple[ModelProvider, str]:
        prefix, colon, model_id = model.partition(":")
        if not colon or not model_id:
            raise ModelError(_no_provider_in(model, self.names))
        provider = self._providers.get(prefix)
        if provider is None:
            # No name of a package is made of what somebody wrote: it would be anybody's to register.
            raise ModelError(
                f"No installed plugin provides the models of {prefix!r}, needed for {model!r}. "
                f"Installed: {', '.join(self.names)}.{did_you_mean(prefix, self.names)} Those of edgeagents are in the "
                "folder plugins/ of its repository, whose README says which of them provide models, and how to install "
                "them."
            )
        return provider, model_id


def _no_provider_in(model: str, names: list[str]) -> str:
    said = f"{model!r} does not say which provider to ask."
    if model.startswith("@"):
        return (
            f"{said} Models whose names begin with '@' are asked by a binding: await self.env.AI.run({model!r}, ...). "
            f"Here a model is 'provider:model'. Installed: {', '.join(names)}."
        )
    example = model if re.fullmatch(r"[\w.-]+", model) else "gpt-4o"
    return f"{said} Write 'provider:model', for example 'openai:{example}'. Installed: {', '.join(names)}."


def _origin(provider: ModelProvider) -> str:
    return f"{type(provider).__module__}.{type(provider).__qualname__}"
