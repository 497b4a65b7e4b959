"""What becomes of the anthropic package's errors: a ``ModelError`` that says whether trying again may help."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from edgeagents.errors import ModelError
from edgeagents.models.failures import http_failure, without_secret

__all__ = ["broken_off", "mapped_errors"]

# An error that comes in mid-stream has no status any more, only a type.
_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


@contextmanager
def mapped_errors(secret: str) -> Generator[None, None, None]:
    """Turn what the anthropic package raises into ``ModelError``, without ``secret`` in its message."""
    import anthropic
    import httpx2

    try:
        yield
    except anthropic.APIStatusError as error:
        status = error.status_code if error.status_code >= 400 else _STATUS.get(str(error.type), 500)
        message = error.api_message or error.message
        raise http_failure(status, message, headers=error.response.headers, secret=secret) from error
    except anthropic.APITimeoutError as error:
        raise ModelError("The model's server did not answer in time.", retryable=True) from error
    except anthropic.APIConnectionError as error:
        raise ModelError(f"The connection to the model's server failed: {error}", retryable=True) from error
    except anthropic.AnthropicError as error:
        raise ModelError(without_secret(str(error), secret)) from error
    except httpx2.TransportError as error:
        # The package lets through what breaks while a stream is read.
        raise ModelError(f"The connection to the model's server broke: {error}", retryable=True) from error
    except ValueError as error:
        raise ModelError(f"The model's server sent what is no JSON: {error}", retryable=True) from error


def broken_off() -> ModelError:
    """Return the error for a stream that ended without saying so."""
    return ModelError("The model's answer broke off before its end.", retryable=True)
