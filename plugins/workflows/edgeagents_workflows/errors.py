"""What workflows raise, and how an error is kept and raised again.

* WorkflowError             a workflow was used, or went, wrong
  + InstanceNotFound        there is no instance with this id
  + InstanceExists          there is one with this id already
  + NonRetryableError       raise it in a step that must not be tried again
  + WorkflowTimeoutError    a step, or the wait for an event, took too long (also a TimeoutError)
  + WorkflowFatalError      a step cannot be run as it was written
  + WorkflowInternalError   the result of a step cannot be kept
  + WorkflowRejectedError   ``wait_for_approval`` was answered with a rejection; has .reason and .workflow_id

Names and most texts are Cloudflare's: programs compare them.
"""

from __future__ import annotations

import builtins

from edgeagents.errors import EdgeAgentsError, RemoteError
from edgeagents.objects.rpc import crossing_error

__all__ = [
    "InstanceExists",
    "InstanceNotFound",
    "NonRetryableError",
    "WorkflowError",
    "WorkflowFatalError",
    "WorkflowInternalError",
    "WorkflowRejectedError",
    "WorkflowTimeoutError",
    "describe",
    "is_retryable",
    "kept_error",
]


class WorkflowError(EdgeAgentsError):
    """A workflow was used in a way that it does not allow, or went wrong."""


class InstanceNotFound(WorkflowError):
    """There is no instance with this id."""

    def __init__(self, message: str = "instance.not_found") -> None:
        super().__init__(message)


class InstanceExists(WorkflowError):
    """There is an instance with this id already; ids are used once, as long as the instance is kept."""

    def __init__(self, message: str = "(instance.already_exists) Instance already exists") -> None:
        super().__init__(message)


class NonRetryableError(WorkflowError):
    """Raise it in a step to fail the step at once, whatever its retries."""


class WorkflowTimeoutError(WorkflowError, TimeoutError):
    """A step took longer than its timeout, or no event came in time."""

    @classmethod
    def after(cls, milliseconds: int) -> WorkflowTimeoutError:
        """Return the error for something that took ``milliseconds``."""
        return cls(f"Execution timed out after {milliseconds}ms")


class WorkflowFatalError(WorkflowError):
    """A step cannot be run as it was written: its name, its configuration, or one step too many."""


class WorkflowInternalError(WorkflowError):
    """The result of a step cannot be kept."""


class WorkflowRejectedError(WorkflowError):
    """The approval that a workflow waited for was refused."""

    def __init__(self, reason: str | None = None, workflow_id: str | None = None) -> None:
        self.reason, self.workflow_id = reason, workflow_id
        super().__init__(f"Workflow rejected: {reason}" if reason else "Workflow rejected")


_OWN = {
    kind.__name__: kind
    for kind in (
        NonRetryableError,
        WorkflowTimeoutError,
        WorkflowFatalError,
        WorkflowInternalError,
    )
}


def describe(error: BaseException) -> tuple[str, str]:
    """Return the name and the message under which ``error`` is kept."""
    if isinstance(error, RemoteError):
        return error.type_name, str(error)
    # The argument itself: str(KeyError("x")) has quotes that were not in the message.
    is_text = len(error.args) == 1 and isinstance(error.args[0], str)
    return type(error).__name__, error.args[0] if is_text else str(error)


def is_retryable(error: BaseException) -> bool:
    """Return whether a step that raised ``error`` may be tried again.

    Known by its name: Cloudflare's SDK for Python has a class ``NonRetryableError`` of its own.
    """
    return all(kind.__name__ != "NonRetryableError" for kind in type(error).__mro__)


def kept_error(name: str, message: str) -> Exception:
    """Return what a workflow gets of an error that was kept: the same in the run that it happened in and in any replay.

    An error of workflows is what it was, a builtin exception becomes a ``RemoteError`` that is an instance of that
    builtin too, anything else a ``RemoteError`` with its name in ``type_name``.
    """
    own = _OWN.get(name)
    if own is not None:
        return own(message)
    builtin = getattr(builtins, name, None)
    if isinstance(builtin, type) and issubclass(builtin, Exception):
        try:
            crossing = crossing_error(builtin(message))
        except TypeError:  # A builtin that wants more than a message, such as UnicodeDecodeError.
            return RemoteError(message, name)
        assert isinstance(crossing, Exception)
        return crossing
    return RemoteError(message, name)
