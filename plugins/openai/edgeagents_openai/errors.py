"""What becomes of the openai package's errors: a ``ModelError`` that says whether trying again may help."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from edgeagents.errors import ModelError
from edgeagents.models.failures import http_failure, without_secret

__all__ = ["broken_off", "mapped_errors", "stream_error"]

_RETRYABLE_CODES = ("server_error", "rate_limit_exceeded", "overloaded")


@contextmanager
def mapped_errors(secret: str) -> Generator[None, None, None]:
    """Turn what the openai package raises into ``ModelError``, without ``secret`` in its message."""
    import openai

    try:
        yield
    except openai.APIStatusError as error:
        headers = error.response.headers
        raise http_failure(error.status_code, str(error.message), headers=headers, secret=secret) from error
    except openai.APITimeoutError as error:
        raise ModelError("The model's server did not answer in time.", retryable=True) from error
    except openai.APIConnectionError as error:
        raise ModelError(f"The connection to the model's server failed: {error}", retryable=True) from error
    except openai.APIError as error:
        # Sent in mid-stream, where there is no status any more.
        raise stream_error(without_secret(error.message, secret), error.code) from error
    except openai.OpenAIError as error:
        raise ModelError(without_secret(str(error), secret)) from error
    except ValueError as error:
        raise ModelError(f"The model's server sent what is no JSON: {error}", retryable=True) from error


def stream_error(message: str | None, code: str | None) -> ModelError:
    """Return the error for one that a server sent within a stream."""
    text = message or "The model's server reported an error without a message."
    return ModelError(f"{text} ({code})" if code else text, retryable=code in _RETRYABLE_CODES)


def broken_off() -> ModelError:
    """Return the error for a stream that ended without saying so."""
    return ModelError("The model's answer broke off before its end.", retryable=True)
