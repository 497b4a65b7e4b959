"""What GitHub's web hooks say, in a line each. Nothing here knows agents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["Summary", "read", "summarize"]

LONGEST_COMMENT = 100


class Summary(NamedTuple):
    """An event in the words of a feed."""

    title: str
    description: str
    url: str


def summarize(event_type: str, payload: dict[str, Any]) -> Summary | None:
    """Return the words for an event, or None for a type that the feed does not show."""
    find = SUMMARIES.get(event_type)
    return find(payload) if find is not None else None


def read(payload: Any, *path: str | int, default: Any = "") -> Any:
    """Return what is at ``path``, or ``default`` where there is nothing: a payload is somebody else's."""
    for step in path:
        try:
            payload = payload[step]
        except (LookupError, TypeError):
            return default
    return default if payload is None else payload


def _ping(payload: dict[str, Any]) -> Summary:
    return Summary("Webhook configured", read(payload, "zen"), read(payload, "repository", "html_url"))


def _push(payload: dict[str, Any]) -> Summary:
    branch, count = read(payload, "ref").removeprefix("refs/heads/"), len(read(payload, "commits", default=[]))
    message = read(payload, "commits", 0, "message").split("\n")[0] or "No commit message"
    url = read(payload, "commits", 0, "url") or read(payload, "repository", "html_url")
    return Summary(f"Pushed {count} commit{'' if count == 1 else 's'} to {branch}", message, url)


def _pull_request(payload: dict[str, Any]) -> Summary:
    title = f"PR #{read(payload, 'number')}: {read(payload, 'pull_request', 'title')}"
    return Summary(title, _done_by(payload), read(payload, "pull_request", "html_url"))


def _issues(payload: dict[str, Any]) -> Summary:
    title = f"Issue #{read(payload, 'issue', 'number')}: {read(payload, 'issue', 'title')}"
    return Summary(title, _done_by(payload), read(payload, "issue", "html_url"))


def _issue_comment(payload: dict[str, Any]) -> Summary:
    body = read(payload, "comment", "body")
    shown = body if len(body) <= LONGEST_COMMENT else f"{body[:LONGEST_COMMENT]}..."
    return Summary(f"Comment on #{read(payload, 'issue', 'number')}", shown, read(payload, "comment", "html_url"))


def _star(payload: dict[str, Any]) -> Summary:
    title = "Repository starred" if read(payload, "action") == "created" else "Star removed"
    return Summary(title, f"by {read(payload, 'sender', 'login')}", read(payload, "repository", "html_url"))


def _fork(payload: dict[str, Any]) -> Summary:
    copy = read(payload, "forkee", "full_name")
    return Summary("Repository forked", f"Forked to {copy}", read(payload, "forkee", "html_url"))


def _release(payload: dict[str, Any]) -> Summary:
    name = read(payload, "release", "name") or _done_by(payload)
    return Summary(f"Release {read(payload, 'release', 'tag_name')}", name, read(payload, "release", "html_url"))


def _done_by(payload: dict[str, Any]) -> str:
    return f"{read(payload, 'action')} by {read(payload, 'sender', 'login')}"


SUMMARIES: dict[str, Callable[[dict[str, Any]], Summary]] = {
    "ping": _ping,
    "push": _push,
    "pull_request": _pull_request,
    "issues": _issues,
    "issue_comment": _issue_comment,
    "star": _star,
    "fork": _fork,
    "release": _release,
}
