"""Options: what a person may say about a session, on the command line or in environment variables."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Options", "configs_in", "hosts_in", "limits_in", "plugins_in"]


@dataclass(frozen=True)
class Options:
    """One session. Paths are relative to ``directory``, but those of ``env_files``, which lie beside the config.

    ``others`` are the configurations of workers beside the first one, which has the traffic.
    ``allowed_hosts`` are names beside this machine's own that the worker answers to when it is reached over loopback.
    ``environment`` is None when nobody said; an empty one is the top level, whatever ``CLOUDFLARE_ENV`` says.
    ``given`` are keys of the configuration that stand in place of the first one's own.
    ``certificate`` are the files of a certificate and its key, where the server speaks TLS.
    ``limits`` are fields of ``edgeagents.Limits`` as text.
    ``history`` is for how many days each object's past is kept, as text; 0 for none of it.
    ``shows_errors`` has the answer to a request that failed tell this machine why, as the log does.
    ``plugins`` are plugins of the project's own, each as ``module:name``. ``model_fallback`` is the name of the model
    provider that answers where a key is missing.
    ``known_banner`` is what somebody has read already, so that it is not shown again.
    ``serves_when_broken`` has a worker that cannot start answer with what is wrong, for a session that reloads.
    """

    directory: str = ""
    config: str | None = None
    others: tuple[str, ...] = ()
    script: str | None = None
    environment: str | None = None
    persist_to: str | None = None
    env_files: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    log_level: str = "info"
    allowed_hosts: tuple[str, ...] = ()
    given: Mapping[str, Any] = field(default_factory=dict[str, Any])
    certificate: tuple[str, str] | None = None
    limits: Mapping[str, str] = field(default_factory=dict[str, str])
    history: str | None = None
    plugins: tuple[str, ...] = ()
    model_fallback: str = "offline"
    known_banner: str = ""
    serves_when_broken: bool = False
    shows_errors: bool = False

    @classmethod
    def from_environment(cls, process: Mapping[str, str], directory: Path) -> Options:
        """Return what the environment variables say."""
        first, *others = configs_in(process) or [None]
        return cls(
            directory=str(directory),
            config=first,
            others=tuple(str(other) for other in others),
            persist_to=process.get("EDGEAGENTS_PERSIST_TO") or None,
            log_level=process.get("EDGEAGENTS_LOG_LEVEL") or "info",
            allowed_hosts=hosts_in(process),
            limits=limits_in(process),
            history=process.get("EDGEAGENTS_HISTORY") or None,
            plugins=plugins_in(process),
            model_fallback=process.get("EDGEAGENTS_MODEL_FALLBACK") or "offline",
        )

    @classmethod
    def from_json(cls, text: str) -> Options:
        """Return what ``to_json`` has written."""
        handed: dict[str, Any] = json.loads(text)
        for name in ("env_files", "allowed_hosts", "others", "plugins"):
            handed[name] = tuple(handed[name])
        if handed["certificate"]:
            handed["certificate"] = tuple(handed["certificate"])
        return cls(**handed)

    def to_json(self) -> str:
        """Return a line for another process."""
        return json.dumps(asdict(self))

    def chosen_environment(self, process: Mapping[str, str]) -> str | None:
        if self.environment is not None:
            return self.environment or None
        return process.get("CLOUDFLARE_ENV") or None


def configs_in(process: Mapping[str, str]) -> list[str]:
    """Return the files in ``EDGEAGENTS_CONFIG``, which stand between colons (semicolons on Windows)."""
    return [part for part in process.get("EDGEAGENTS_CONFIG", "").split(os.pathsep) if part]


def hosts_in(process: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names in ``EDGEAGENTS_ALLOWED_HOSTS``, which stand between commas."""
    return tuple(name for part in process.get("EDGEAGENTS_ALLOWED_HOSTS", "").split(",") if (name := part.strip()))


def plugins_in(process: Mapping[str, str]) -> tuple[str, ...]:
    """Return the plugins in ``EDGEAGENTS_PLUGINS``, each ``module:name``, which stand between commas."""
    return tuple(name for part in process.get("EDGEAGENTS_PLUGINS", "").split(",") if (name := part.strip()))


def limits_in(process: Mapping[str, str]) -> dict[str, str]:
    """Return what ``EDGEAGENTS_LIMITS`` says: ``name=value``, between commas."""
    parts = (part.strip().partition("=") for part in process.get("EDGEAGENTS_LIMITS", "").split(",") if part.strip())
    return {name.strip(): value.strip() for name, _, value in parts}
