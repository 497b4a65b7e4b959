"""Compatibility flags: which are on, by the worker's date and by what it asks for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["flags_that_are_on"]

# flag, the name that turns it off, the date from which it is on.
_DATED: Final = (
    ("python_workers_20250116", "", "2025-09-29"),
    ("python_no_global_handlers", "disable_python_no_global_handlers", "2025-08-14"),
    ("python_workers_force_new_vendor_path", "", "2025-08-11"),
    ("python_workflows", "", "2025-09-20"),
    ("python_workflows_implicit_dependencies", "no_python_workflows_implicit_dependencies", "2026-02-25"),
    ("python_request_headers_preserve_commas", "disable_python_request_headers_preserve_commas", "2026-02-17"),
    ("enable_python_external_sdk", "disable_python_external_sdk", "2026-04-21"),
    ("python_dedicated_snapshot", "", "2025-10-16"),
    ("python_check_rng_state", "", "2025-12-16"),
    ("enable_ctx_exports", "disable_ctx_exports", "2025-11-17"),
    ("delete_all_deletes_alarm", "delete_all_preserves_alarm", "2026-02-24"),
    ("web_socket_auto_reply_to_close", "web_socket_manual_reply_to_close", "2026-04-07"),
    ("websocket_close_reason_byte_limit", "no_websocket_close_reason_byte_limit", "2026-03-03"),
    ("queues_json_messages", "no_queues_json_messages", "2024-03-18"),
    ("fetcher_no_get_put_delete", "fetcher_has_get_put_delete", "2024-03-26"),
)


def flags_that_are_on(date: str | None, flags: Iterable[str]) -> frozenset[str]:
    """Return the flags that hold for a worker of this ``date`` (YYYY-MM-DD; None: today) and these ``flags``."""
    given = frozenset(flags)
    dated = {name for name, off, since in _DATED if off not in given and (date is None or date >= since)}
    return given | dated
