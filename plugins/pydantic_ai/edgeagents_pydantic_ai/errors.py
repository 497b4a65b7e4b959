"""What becomes of an agent's errors: a ``ModelError`` that says whether trying again may help."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from pydantic_ai import Agent
from pydantic_ai.exceptions import (
    AgentRunError,
    ModelAPIError,
    ModelConnectionError,
    ModelHTTPError,
    ModelRateLimitError,
    ModelServerError,
    ModelUnavailableError,
    RunCancelled,
    UserError,
)

from edgeagents.errors import ModelError
from edgeagents.models.failures import is_retryable, without_secret

__all__ = ["bare_agent", "broken_off", "mapped_errors", "secret_of"]

_PASSING = (ModelConnectionError, ModelRateLimitError, ModelServerError, ModelUnavailableError)


@contextmanager
def mapped_errors(secret: str) -> Generator[None, None, None]:
    """Turn what a run raises into ``ModelError``, without ``secret`` in its message. ``RunCancelled`` comes through."""
    try:
        yield
    except RunCancelled:
        raise
    except ModelHTTPError as error:
        raise ModelError(
            without_secret(_message(error), secret),
            status=error.status_code,
            retryable=is_retryable(error.status_code),
            retry_after=error.retry_after,
        ) from error
    except ModelAPIError as error:
        text = without_secret(_message(error), secret)
        raise ModelError(text, retryable=isinstance(error, _PASSING), retry_after=error.retry_after) from error
    except (AgentRunError, UserError) as error:
        raise ModelError(without_secret(str(error), secret)) from error


def bare_agent(model: str) -> Agent[None, str]:
    """Return an agent with this model and nothing else. Raises ``ModelError`` when it is not set up."""
    with mapped_errors(""):
        return Agent(model)


def secret_of(agent: Agent[Any, Any]) -> str:
    """Return the key of the agent's model, or nothing when it has none that can be found."""
    key = getattr(getattr(agent.model, "client", None), "api_key", None)
    return key if isinstance(key, str) else ""


def broken_off() -> ModelError:
    """Return the error for a response that ended without saying so."""
    return ModelError("The model's answer broke off before its end.", retryable=True)


def _message(error: ModelAPIError) -> str:
    """Return what the vendor said, or all that there is."""
    body = error.body
    for _ in range(2):
        if isinstance(body, Mapping):
            facts = cast("Mapping[str, Any]", body)
            if isinstance(facts.get("message"), str):
                return facts["message"]
            body = facts.get("error")
    return str(error)
