"""What becomes of the litellm package's errors: a ``ModelError`` that says whether trying again may help."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import cast

from edgeagents.errors import ModelError
from edgeagents.models.failures import http_failure, without_secret

__all__ = ["mapped_errors"]


@contextmanager
def mapped_errors(secret: str) -> Generator[None, None, None]:
    """Turn what the package raises into ``ModelError``, without ``secret`` in its message."""
    import openai

    try:
        yield
    except ModelError:
        raise
    except openai.APITimeoutError as error:
        raise ModelError("The model's server did not answer in time.", retryable=True) from error
    except openai.APIConnectionError as error:
        text = without_secret(str(error), secret)
        raise ModelError(f"The connection to the model's server failed: {text}", retryable=True) from error
    except openai.APIError as error:
        # All errors of the package are of the openai package's types.
        status = int(getattr(error, "status_code", None) or 500)
        raise http_failure(status, str(error.message), headers=_headers(error), secret=secret) from error
    except Exception as error:
        # Some integrations let through what their HTTP client raises while a stream is read.
        raise ModelError(without_secret(f"{type(error).__name__}: {error}", secret), retryable=True) from error


def _headers(error: Exception) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for holder in (getattr(error, "response", None), error):
        for name in ("litellm_response_headers", "headers"):
            headers = getattr(holder, name, None)
            if isinstance(headers, Mapping):
                found |= {str(key): str(value) for key, value in cast("Mapping[object, object]", headers).items()}
    return found
