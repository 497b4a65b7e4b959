"""Paths of sub-agents: ``/{prefix}/{root}/{name}/sub/{child in kebab case}/{child's name}[/sub/...][/tail]``.

Text in, text out: who is asked for by a path, and which path leads to an agent. The name of a root stands in a path as
it is, those of its children are percent-encoded. Requests are routed in ``sub_agents``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from edgeagents.agents.kebab import kebab_case
from edgeagents.objects.records import record

__all__ = [
    "SUB_PREFIX",
    "AgentPathStep",
    "SubAgentPathMatch",
    "build_agent_path",
    "build_agent_url",
    "find_sub_agent",
    "parse_sub_agent_path",
]

SUB_PREFIX = "sub"
"""The segment between a parent and a child."""

_SAFE_IN_A_COMPONENT = "!'()*-._~"
_STAYS_IN_A_PATH = re.compile(r"[!$%&'()*+,\-./0-9:;=@A-Z\[\]_a-z|~]*")
_DOTS = re.compile(r"(?:\.|%2e){1,2}", re.IGNORECASE)
_BROKEN_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")
_ORIGIN = re.compile(r"(https?|wss?)://((?:[^\s/?#@\\:\[\]]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?)/?", re.IGNORECASE)


@record("agent path step")
class AgentPathStep(NamedTuple):
    """One agent on the way from the root."""

    class_name: str
    name: str


class SubAgentPathMatch(NamedTuple):
    """The first sub-agent that a path asks for, and the path that is left for it: it begins with a slash."""

    child_class: str
    child_name: str
    remaining_path: str


def parse_sub_agent_path(url: str, *, known_classes: Iterable[str] | None = None) -> SubAgentPathMatch | None:
    """Return the first sub-agent in the path of ``url``, or None. The rest of the path may name further ones.

    The class is one of ``known_classes``; without them its name is made of the segment: ``my-chat`` is ``MyChat``.
    """
    if known_classes is None:
        return find_sub_agent(urlsplit(url).path, _capitalised)
    by_segment = {kebab_case(name): name for name in reversed(list(known_classes))}
    return find_sub_agent(urlsplit(url).path, by_segment.get)


def find_sub_agent(path: str, class_of: Callable[[str], str | None]) -> SubAgentPathMatch | None:
    """Return the first sub-agent in ``path``; ``class_of`` names the class for a segment, or is None for no class."""
    parts = [part for part in path.split("/") if part]
    for at in range(len(parts) - 2):
        # An agent may be called "sub" too: what matters is that a class follows.
        if parts[at] != SUB_PREFIX or (class_name := class_of(parts[at + 1])) is None:
            continue
        name = _decoded(parts[at + 2])
        if name is not None:
            return SubAgentPathMatch(class_name, name, "/" + "/".join(parts[at + 3 :]))
    return None


def build_agent_path(
    path: Sequence[tuple[str, str]],
    *,
    prefix: str = "agents",
    leaf_path: str | None = None,
    root_binding: str | None = None,
) -> str:
    """Return the path of the agent that ``path`` leads to, the root first: ``build_agent_path(agent.self_path)``.

    ``prefix`` is the one of the router, ``leaf_path`` is added at the end, ``root_binding`` is the name of the root's
    binding where it is not that of its class. Raises ValueError for what no request could reach.
    """
    if not path:
        raise ValueError("Agent path must contain at least one step.")
    (root_class, root_name), *children = path
    parts = ["", _prefix(prefix), _class_segment(root_binding or root_class), _root_name(root_name)]
    for class_name, name in children:
        parts += (SUB_PREFIX, _class_segment(class_name), _child_name(name))
    return "/".join(parts) + (_leaf(leaf_path) if leaf_path else "")


def build_agent_url(
    origin: str,
    path: Sequence[tuple[str, str]],
    *,
    prefix: str = "agents",
    leaf_path: str | None = None,
    root_binding: str | None = None,
) -> str:
    """Return the URL of an agent at ``origin``, such as ``https://example.com``; the rest is ``build_agent_path``'s."""
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        raise ValueError(
            f"Invalid Agent URL origin {origin!r}. It is a scheme (http, https, ws, wss), a host and maybe a port, "
            "without credentials, path, query or fragment."
        )
    tail = build_agent_path(path, prefix=prefix, leaf_path=leaf_path, root_binding=root_binding)
    return f"{match[1].lower()}://{match[2]}{tail}"


def _decoded(segment: str) -> str | None:
    if _BROKEN_ESCAPE.search(segment):
        return None
    try:
        return unquote(segment, errors="strict")
    except UnicodeDecodeError:
        return None


def _capitalised(segment: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in segment.split("-"))


def _stays(path: str) -> bool:
    """Return whether a browser leaves ``path`` as it is."""
    return _STAYS_IN_A_PATH.fullmatch(path) is not None and not any(map(_DOTS.fullmatch, path.split("/")))


def _prefix(prefix: str) -> str:
    parts = prefix.split("/")
    if not _stays(prefix) or SUB_PREFIX in parts or not all(parts):
        raise ValueError(f"No request could be routed by the prefix {prefix!r}.")
    return prefix


def _class_segment(class_name: str) -> str:
    segment = kebab_case(class_name)
    if segment == SUB_PREFIX:
        raise ValueError(f"An agent class called {class_name!r} has no path: {SUB_PREFIX!r} is reserved.")
    if not segment or "/" in segment or not _stays(segment):
        raise ValueError(f"An agent class called {class_name!r} has no path.")
    return segment


def _root_name(name: str) -> str:
    if name == SUB_PREFIX:
        raise ValueError(f"An agent called {name!r} has no path: that name is reserved.")
    if not name or "/" in name or not _stays(name):
        raise ValueError(f"An agent called {name!r} has no path: the name is no segment of one, percent-encoded.")
    return name


def _child_name(name: str) -> str:
    if not name or name in (".", "..") or "\0" in name:
        raise ValueError(f"A sub-agent called {name!r} has no path.")
    try:
        return quote(name, safe=_SAFE_IN_A_COMPONENT)
    except UnicodeEncodeError:
        raise ValueError(f"A sub-agent called {name!r} has no path: that is no valid Unicode.") from None


def _leaf(leaf_path: str) -> str:
    leaf = leaf_path if leaf_path.startswith("/") else f"/{leaf_path}"
    if "//" in leaf or (len(leaf) > 1 and leaf.endswith("/")) or not _stays(leaf):
        raise ValueError(f"The leaf path {leaf_path!r} would be another one in a request.")
    return leaf
