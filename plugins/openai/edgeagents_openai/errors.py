"""What becomes of the openai package's errors: a ``ModelError`` that says whether trying again may help."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import openai

from edgeagents.errors import ModelError

__all__ = ["broken_off", "mapped_errors", "stream_error"]

_RETRYABLE = (408, 409, 429)
_RETRYABLE_CODES = ("server_error", "rate_limit_exceeded", "overloaded")


@contextmanager
def mapped_errors() -> Generator[None, None, None]:
    """Turn what the openai package raises into ``ModelError``. It has retried what it could by then."""
    try:
        yield
    except openai.APIStatusError as error:
        retryable = error.status_code in _RETRYABLE or error.status_code >= 500
        raise ModelError(str(error.message), status=error.status_code, retryable=retryable) from error
    except openai.APITimeoutError as error:
        raise ModelError("The model's server did not answer in time.", retryable=True) from error
    except openai.APIConnectionError as error:
        raise ModelError(f"The connection to the model's server failed: {error}", retryable=True) from error
    except openai.APIError as error:
        # Sent in mid-stream, where there is no status any more.
        raise stream_error(error.message, error.code) from error
    except openai.OpenAIError as error:
        raise ModelError(str(error)) from error


def stream_error(message: str | None, code: str | None) -> ModelError:
    """Return the error for one that a server sent within a stream."""
    text = message or "The model's server reported an error without a message."
    return ModelError(f"{text} ({code})" if code else text, retryable=code in _RETRYABLE_CODES)


def broken_off() -> ModelError:
    """Return the error for a stream that ended without saying so."""
    return ModelError("The model's answer broke off before its end.", retryable=True)
