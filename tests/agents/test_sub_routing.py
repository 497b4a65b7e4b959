"""Paths of sub-agents, read and written."""

from __future__ import annotations

import pytest

from edgeagents.agents import AgentPathStep, build_agent_path, build_agent_url, parse_sub_agent_path

pytestmark = pytest.mark.cloudflare(
    "Sub-agents", "`/sub/` paths, `buildAgentPath`, `buildAgentUrl`, `parseSubAgentPath`", "same; URLs are text"
)

KNOWN = ["Chat", "MyNotes"]
INBOX = AgentPathStep("Inbox", "alice")


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("http://x/agents/inbox/alice/sub/chat/a", ("Chat", "a", "/")),
        ("/agents/inbox/alice/sub/my-notes/a/b/c?q=1", ("MyNotes", "a", "/b/c")),
        ("/agents/inbox/alice/sub/chat/a%20b%2Fc", ("Chat", "a b/c", "/")),
        ("//agents//inbox/alice//sub//chat//a//tail/", ("Chat", "a", "/tail")),
        # Deeper steps stay in the path.
        ("/agents/inbox/alice/sub/chat/a/sub/my-notes/n", ("Chat", "a", "/sub/my-notes/n")),
        # An agent, or a prefix, may be called "sub": what counts is the class that follows.
        ("/agents/inbox/sub/sub/chat/a", ("Chat", "a", "/")),
        ("/sub/inbox/alice/sub/chat/a", ("Chat", "a", "/")),
        ("/agents/inbox/alice/sub/chat/%F0%9F%90%9F", ("Chat", "🐟", "/")),
        ("/agents/inbox/alice/sub/chat", None),
        ("/agents/inbox/alice/sub/Chat/a", None),
        ("/agents/inbox/alice/sub/other/a", None),
        ("/agents/inbox/alice", None),
        # What cannot be decoded is no name.
        ("/agents/inbox/alice/sub/chat/%ff", None),
        ("/agents/inbox/alice/sub/chat/%zz", None),
        ("/agents/inbox/alice?x=/sub/chat/a", None),
    ],
)
def test_a_path_is_read_step_by_step(url, match):
    assert parse_sub_agent_path(url, known_classes=KNOWN) == match


def test_without_known_classes_the_name_is_made_of_the_segment():
    match = parse_sub_agent_path("/inbox/sub/my-chat/a")
    assert match is not None
    assert match.child_class == "MyChat"


@pytest.mark.parametrize(
    ("path", "options", "built"),
    [
        ([INBOX], {}, "/agents/inbox/alice"),
        ([INBOX, ("MyNotes", "a b/c")], {}, "/agents/inbox/alice/sub/my-notes/a%20b%2Fc"),
        ([INBOX, ("Chat", "é"), ("Chat", "(1)")], {}, "/agents/inbox/alice/sub/chat/%C3%A9/sub/chat/(1)"),
        ([("Inbox", "a%20b")], {}, "/agents/inbox/a%20b"),
        ([INBOX], {"prefix": "api/v1"}, "/api/v1/inbox/alice"),
        ([INBOX], {"root_binding": "MAIL_BOX"}, "/agents/mail-box/alice"),
        ([INBOX, ("Chat", "a")], {"leaf_path": "get-messages"}, "/agents/inbox/alice/sub/chat/a/get-messages"),
        ([INBOX], {"leaf_path": "/"}, "/agents/inbox/alice/"),
    ],
)
def test_paths_are_built_root_first(path, options, built):
    assert build_agent_path(path, **options) == built


def test_a_path_that_was_built_is_read_again():
    path = build_agent_path([INBOX, ("Chat", "100% 🐟/?#")])
    assert parse_sub_agent_path(path, known_classes=KNOWN) == ("Chat", "100% 🐟/?#", "/")


@pytest.mark.parametrize(
    ("path", "options", "says"),
    [
        ([], {}, "at least one step"),
        ([("Inbox", "")], {}, "''"),
        ([("Inbox", "sub")], {}, "reserved"),
        ([("Inbox", "a b")], {}, "'a b'"),
        ([("Inbox", "a/b")], {}, "'a/b'"),
        ([("Inbox", "%2E%2e")], {}, "%2E%2e"),
        ([("Sub", "a")], {}, "reserved"),
        ([INBOX, ("SUB", "a")], {}, "reserved"),
        ([INBOX, ("Chat", "..")], {}, "'..'"),
        ([INBOX, ("Chat", "a\0b")], {}, "sub-agent"),
        ([INBOX, ("Chat", "\ud800")], {}, "Unicode"),
        ([INBOX], {"prefix": "a//b"}, "prefix"),
        ([INBOX], {"prefix": "a/sub"}, "prefix"),
        ([INBOX], {"leaf_path": "a/../b"}, "leaf path"),
        ([INBOX], {"leaf_path": "a?b"}, "leaf path"),
        ([INBOX], {"leaf_path": "a/"}, "leaf path"),
    ],
)
def test_what_no_request_could_reach_has_no_path(path, options, says):
    with pytest.raises(ValueError, match=says):
        build_agent_path(path, **options)


@pytest.mark.parametrize(
    ("origin", "url"),
    [
        ("https://example.com", "https://example.com/agents/inbox/alice"),
        ("ws://localhost:8000/", "ws://localhost:8000/agents/inbox/alice"),
        ("http://[::1]:80", "http://[::1]:80/agents/inbox/alice"),
    ],
)
def test_urls_are_built_of_an_origin(origin, url):
    assert build_agent_url(origin, [INBOX]) == url


@pytest.mark.parametrize(
    "origin",
    [
        "example.com",
        "ftp://x",
        "https://",
        "https://u:p@x",
        "https://x/path",
        "https://x?q",
        "https://x#f",
        "https://x y",
    ],
)
def test_what_is_no_origin_makes_no_url(origin):
    with pytest.raises(ValueError, match="Invalid Agent URL origin"):
        build_agent_url(origin, [INBOX])
