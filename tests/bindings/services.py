"""Plays of small services: mail, pictures, points of data, a database's address, secrets, pipelines, loaded workers."""

from __future__ import annotations

from typing import Any, Final

from tests.bindings.steps import NAN, UNDEFINED, Step, call, file, raw, read, ref, special, stream

__all__ = [
    "AS_PNG",
    "COPIED",
    "EMPTY",
    "ID",
    "NO_PICTURES",
    "RENAMING",
    "SERVICES",
    "TO_B",
    "arrives",
    "loaded",
    "made",
    "mail",
    "sent",
]

CRLF: Final = "\r\n"


def mail(*headers: str, body: str = "hello") -> str:
    """Return a whole message."""
    return CRLF.join([*headers, "", body])


FROM_A, TO_B, ID = "From: a@x.com", "To: b@x.com", "Message-ID: <1@x.com>"
WHOLE: Final = mail(FROM_A, TO_B, "Subject: hi", ID)


def sent(binding: str, from_: Any, to: Any, content: Any = WHOLE) -> Step:
    """Send an EmailMessage."""
    return call("sent", ref(binding), from_, to, content)


EMPTY: Final = {"from": "a@x.com", "to": "b@x.com", "subject": "s"}
COPIED: Final = {"from": "a@x.com", "to": "b@x.com", "cc": "d@x.com", "subject": "s", "text": "t"}
MAIL: Final = [
    sent("MAIL", "a@x.com", "b@x.com"),
    sent("MAIL", "a@x.com", "b@x.com", stream(WHOLE)),
    sent("MAIL", "a@x.com", "c@x.com"),
    sent("MAIL", "c@x.com", "b@x.com"),
    sent("MAIL", "a@x.com", "b@x.com", ""),
    sent("MAIL", "a@x.com", "b@x.com", "no headers at all"),
    sent("MAIL", "a@x.com", "b@x.com", mail(FROM_A, TO_B, "Subject: hi")),
    sent("MAIL", "a@x.com", "b@x.com", mail(TO_B, ID)),
    sent("MAIL", "a@x.com", "b@x.com", mail(FROM_A, ID)),
    sent("MAIL", "a@x.com", "b@x.com", mail("From: Ann <a@x.com>", TO_B, ID)),
    sent("MAIL", "a@x.com", "b@x.com", mail('From: "Ann, B." <a@x.com>', TO_B, ID)),
    sent("MAIL", "A@x.com", "b@x.com"),
    sent("MAIL", "Ann <a@x.com>", "b@x.com"),
    sent("MAIL", "a@x.com", "b@x.com", mail(FROM_A, TO_B, "Message-ID: not in brackets")),
    sent("MAIL", "a@x.com", "b@x.com", mail(FROM_A, TO_B, "Message-ID:")),
    sent("MAIL", "a@x.com", "b@x.com", mail(FROM_A, TO_B, ID, "Received: from elsewhere")),
    sent("MAIL", "a@x.com", "b@x.com", mail(FROM_A, TO_B, ID, "X-Any: thing")),
    sent("MAIL", "a@x.com", "b@x.com", mail("from: a@x.com", "to: b@x.com", "message-id: <2@x.com>")),
    sent("MAIL", "a@x.com", "b@x.com", WHOLE.replace(CRLF, "\n")),
    sent("MAIL", "a@x.com", ["b@x.com", "c@x.com"]),
    sent("ONE", "a@x.com", "b@x.com"),
    sent("ONE", "a@x.com", "c@x.com"),
    sent("SOME", "a@x.com", "b@x.com"),
    sent("SOME", "a@x.com", "c@x.com"),
    sent("SOME", "a@x.com", "d@x.com"),
    sent("BY", "a@x.com", "anybody@y.com"),
    sent("BY", "c@x.com", "b@x.com", mail("From: c@x.com", TO_B, ID)),
    call("MAIL.send", {"from": "a@x.com", "to": "b@x.com", "subject": "s", "text": "t"}),
    call("MAIL.send", {"from": "a@x.com", "to": "b@x.com", "subject": "s", "html": "<p>t</p>"}),
    call("MAIL.send", {"from": "a@x.com", "to": "b@x.com", "subject": "s", "text": "t", "html": "<p>t</p>"}),
    call("MAIL.send", EMPTY),
    call("MAIL.send", {"from": "a@x.com", "to": "b@x.com", "text": "t"}),
    call("MAIL.send", {"from": "Ann <a@x.com>", "to": "Bob <b@x.com>", "subject": "s", "text": "t"}),
    call(
        "MAIL.send",
        {
            "from": {"name": "Ann", "email": "a@x.com"},
            "to": {"name": "Bob", "email": "b@x.com"},
            "subject": "s",
            "text": "t",
        },
    ),
    call("MAIL.send", {"from": "a@x.com", "to": ["b@x.com", "c@x.com"], "subject": "s", "text": "t"}),
    call(
        "MAIL.send",
        {"from": "a@x.com", "to": ["b@x.com", {"name": "C", "email": "c@x.com"}], "subject": "s", "text": "t"},
    ),
    call(
        "MAIL.send",
        {
            "from": "a@x.com",
            "to": "b@x.com",
            "cc": "c@x.com",
            "bcc": ["d@x.com"],
            "replyTo": {"name": "R", "email": "r@x.com"},
            "headers": {"X-A": "1"},
            "subject": "s",
            "text": "t",
        },
    ),
    call(
        "MAIL.send",
        {
            "from": "a@x.com",
            "to": "b@x.com",
            "subject": "s",
            "text": "t",
            "attachments": [
                {"disposition": "attachment", "filename": "a.txt", "type": "text/plain", "content": "abc"},
                {"disposition": "attachment", "filename": "b", "type": "image/png", "content": raw(1, 2, 3)},
                {
                    "disposition": "inline",
                    "contentId": "c",
                    "filename": "c.png",
                    "type": "image/png",
                    "content": raw(1, 2, 3),
                },
            ],
        },
    ),
    call("ONE.send", {"from": "a@x.com", "to": "c@x.com", "subject": "s", "text": "t"}),
    call("ONE.send", {"from": "a@x.com", "to": ["b@x.com", "c@x.com"], "subject": "s", "text": "t"}),
    call("ONE.send", {"from": "a@x.com", "to": "Bob <b@x.com>", "subject": "s", "text": "t"}),
    call("ONE.send", COPIED),
    call("SOME.send", {"from": "a@x.com", "to": "d@x.com", "subject": "s", "text": "t"}),
    call("BY.send", {"from": "Ann <a@x.com>", "to": "b@x.com", "subject": "s", "text": "t"}),
    call("BY.send", {"from": {"name": "C", "email": "c@x.com"}, "to": "b@x.com", "subject": "s", "text": "t"}),
]


def arrives(*does: dict[str, Any], from_: str = "a@x.com", to: str = "b@x.com", message: str = WHOLE) -> Step:
    """Let an email arrive, with which the worker ``does`` something."""
    query = "&".join(f"{name}={value}" for name, value in (("from", from_), ("to", to)) if value)
    return call("arrive", query, message, list(does))


def reply(
    *headers: str, from_: str = "b@x.com", to: str = "a@x.com", first: tuple[str, ...] | None = None
) -> dict[str, Any]:
    """Answer an email."""
    own = ("From: b@x.com", "To: a@x.com", "Message-ID: <9@x.com>") if first is None else first
    return {"op": "reply", "from": from_, "to": to, "raw": mail(*own, *headers)}


IN_REPLY: Final = "In-Reply-To: <1@x.com>"
ANSWER: Final = reply(IN_REPLY)
RENAMING: Final = {"op": "forward", "to": "c@x.com", "headers": {"Subject": "other"}}
ARRIVALS: Final = [
    arrives(),
    arrives({"op": "see"}),
    arrives({"op": "see"}, message=mail(FROM_A, TO_B, ID, "X-Two: 1", "X-Two: 2", body="a" * 100)),
    arrives(from_=""),
    arrives(to=""),
    arrives(message=""),
    arrives(message=mail(FROM_A, TO_B)),
    arrives(message="not a message"),
    arrives(from_="z@x.com"),
    arrives(to="z@x.com"),
    arrives({"op": "reject", "reason": "full"}),
    arrives({"op": "reject", "reason": ""}),
    arrives({"op": "reject", "reason": "one"}, {"op": "reject", "reason": "two"}),
    arrives({"op": "forward", "to": "c@x.com"}),
    arrives({"op": "forward", "to": "c@x.com"}, {"op": "forward", "to": "d@x.com"}),
    arrives({"op": "forward", "to": "c@x.com", "headers": {"X-A": "1"}}),
    arrives(RENAMING),
    arrives({"op": "forward", "to": "c@x.com"}, {"op": "reject", "reason": "late"}),
    arrives({"op": "throw", "message": "no"}),
    arrives(ANSWER),
    arrives(ANSWER, ANSWER),
    arrives(reply()),
    arrives(reply("In-Reply-To: <other@x.com>")),
    arrives(reply(IN_REPLY, "References: <1@x.com>")),
    arrives(reply(IN_REPLY, "References: <0@x.com> <1@x.com>")),
    arrives(reply(IN_REPLY, "References: <other@x.com>")),
    arrives(reply(IN_REPLY, from_="c@x.com")),
    arrives(reply(IN_REPLY, to="c@x.com")),
    arrives(reply(IN_REPLY, first=("To: a@x.com", "Message-ID: <9@x.com>"))),
    arrives(reply(IN_REPLY, first=("From: b@x.com", "To: a@x.com"))),
    arrives(reply(IN_REPLY, "Received: from elsewhere")),
    arrives(reply(IN_REPLY, first=("From: Bob <b@x.com>", "To: a@x.com", "Message-ID: <9@x.com>"))),
    arrives(ANSWER, message=mail(FROM_A, TO_B, ID, "Auto-Submitted: auto-replied")),
    arrives(ANSWER, message=mail(FROM_A, TO_B, ID, "Auto-Submitted: no")),
    arrives(ANSWER, message=mail(FROM_A, TO_B, ID, "X-Auto-Response-Suppress: All")),
    arrives(ANSWER, message=mail(FROM_A, TO_B, ID, "X-Auto-Response-Suppress: None")),
    arrives(ANSWER, message=mail(FROM_A, TO_B, ID, "Precedence: bulk")),
    arrives(ANSWER, message=mail(FROM_A, TO_B, ID, "In-Reply-To: <0@x.com>")),
    arrives(ANSWER, message=mail(FROM_A, TO_B, ID, "References: <0@x.com>")),
    arrives(ANSWER, message=mail(FROM_A, TO_B, ID, "In-Reply-To: <0@x.com>", "References: <0@x.com>")),
    arrives(
        reply(IN_REPLY, "References: <0@x.com> <1@x.com>"),
        message=mail(FROM_A, TO_B, ID, "In-Reply-To: <0@x.com>", "References: <0@x.com>"),
    ),
    arrives(
        reply(IN_REPLY, "References: <1@x.com>"),
        message=mail(FROM_A, TO_B, ID, "In-Reply-To: <0@x.com>", "References: <0@x.com>"),
    ),
    arrives(
        ANSWER,
        message=mail(
            FROM_A, TO_B, ID, "In-Reply-To: <0@x.com>", "References: " + " ".join(f"<{n}@x.com>" for n in range(100))
        ),
    ),
    arrives(ANSWER, {"op": "reject", "reason": "after all"}),
]

# Pictures of 8 x 4, and one of 6 x 6 that is half transparent.
PNG: Final = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAECAIAAAA8r+mnAAAAFUlEQVR42mM8ISfHgA0wMeAApEsAAGYmAQx+3xsoAAAAAElFTkSuQmCC"
JPEG: Final = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAFA3PEY8MlBGQUZaVVBfeMiCeG5uePWvuZHI////////////////////////////////////////////"
    "////////2wBDAVVaWnhpeOuCguv/////////////////////////////////////////////////////////////////////////wAARCAAEAAgDAS"
    "IAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAP/xAAUEAEAAAAAAAAAAAAAAAAAAAAA/8QAFQEBAQAAAAAAAAAAAAAAAAAAAgT/xAAUEQEA"
    "AAAAAAAAAAAAAAAAAAAA/9oADAMBAAIRAxEAPwCQAKH/2Q=="
)
GIF: Final = "R0lGODdhCAAEAIEAAMgeHgAAAAAAAAAAACwAAAAACAAEAAAIDAABCBxIsKDBgwQDAgA7"
WEBP: Final = "UklGRjAAAABXRUJQVlA4ICQAAABwAQCdASoIAAQADMDOJaACdAFAAAD+2iYRho1+LuxHGSQAAAA="
CLEAR: Final = (
    "iVBORw0KGgoAAAANSUhEUgAAAAYAAAAGCAYAAADgzO9IAAAAFklEQVR42mNkYPjfwIAFMDHgAPSQAADfhwGLXlQEcgAAAABJRU5ErkJggg=="
)
SVG: Final = '<svg xmlns="http://www.w3.org/2000/svg" width="8" height="4"><rect width="8" height="4"/></svg>'
AS_PNG: Final = {"format": "image/png"}


def made(*transforms: dict[str, Any], output: Any = AS_PNG, of: str = PNG) -> Step:
    """Change a picture, and see what it is then."""
    return call("made", list(transforms), output, file(of))


NO_PICTURES: Final = (stream("no picture"), stream(""))
IMAGES: Final = [
    *[call("IMAGES.info", file(of)) for of in (PNG, JPEG, GIF, WEBP, CLEAR)],
    call("IMAGES.info", stream(SVG)),
    *[call("IMAGES.info", one) for one in NO_PICTURES],
    call("IMAGES.info", "text"),
    call("IMAGES.info", UNDEFINED),
    call("IMAGES.info", raw(1, 2, 3)),
    made(),
    *[made(output={"format": one}) for one in ("image/jpeg", "image/webp", "image/avif")],
    made(output={"format": "image/jpeg", "quality": 10}),
    made(output={"format": "image/bmp"}),
    made(output={}),
    made(of=CLEAR, output={"format": "image/jpeg"}),
    made({"width": 4}),
    made({"height": 2}),
    made({"width": 16}),
    made({"width": 16, "height": 16}),
    *[
        made({"fit": fit, **size})
        for fit in ("scale-down", "contain", "cover", "crop", "pad", "squeeze")
        for size in ({"width": 3, "height": 3}, {"width": 16, "height": 12}, {"width": 4}, {"width": 12})
    ],
    made({"rotate": 90}),
    made({"rotate": 180}),
    made({"rotate": 90, "width": 2}),
    made({"width": 4}, {"rotate": 90}),
    made({"width": 6}, {"width": 4}),
    made({"width": 4, "height": 4, "fit": "cover", "gravity": "left"}),
    made({"width": "4"}),
    made({"width": NAN}),
    made({"width": 0}),
    made({"rotate": "90"}),
    made({"blur": 3}),
    made({"width": 4, "fit": "nothing"}),
    made({"nothing": 1}),
    call("IMAGES.input", stream("no picture"), keep="t", quiet=True),
    call("t.output", AS_PNG),
    call("IMAGES.input", file(PNG), keep="t", quiet=True),
    call("t.output", AS_PNG, keep="made", quiet=True),
    call("t.output", AS_PNG),
    call("t.transform", {"width": 3}),
    call("made.contentType"),
    call("IMAGES.input", file(PNG), keep="t", quiet=True),
    call("IMAGES.input", file(CLEAR), keep="over", quiet=True),
    call("t.draw", ref("over"), {"top": 0, "left": 0}, keep="t", quiet=True),
    call("t.output", AS_PNG, keep="made", quiet=True),
    call("pictured", ref("made")),
]

HOSTED: Final = [
    call(
        "IMAGES.hosted.upload", file(PNG), {"id": "a", "filename": "a.png", "metadata": {"of": "a"}, "creator": "ann"}
    ),
    call("IMAGES.hosted.upload", file(JPEG), {"id": "b", "requireSignedURLs": True}),
    call("IMAGES.hosted.upload", stream(PNG), {"id": "c", "encoding": "base64"}),
    call("IMAGES.hosted.upload", raw(1, 2, 3), {"id": "d", "creator": "ann"}),
    call("IMAGES.hosted.list"),
    call("IMAGES.hosted.list", {"limit": 2}),
    call("IMAGES.hosted.list", {"limit": 2, "cursor": "b"}),
    call("IMAGES.hosted.list", {"limit": 2, "cursor": "nowhere"}),
    call("IMAGES.hosted.list", {"sortOrder": "desc", "limit": 3}),
    call("IMAGES.hosted.list", {"creator": "ann"}),
    call("IMAGES.hosted.list", {"creator": "nobody"}),
    call("IMAGES.hosted.list", {"limit": 0}),
    call("IMAGES.hosted.image", "a", keep="a", quiet=True),
    call("a.details"),
    call("a.bytes", keep="bytes", quiet=True),
    call("IMAGES.info", ref("bytes")),
    call("a.update", {"metadata": {"new": 1}, "requireSignedURLs": True}),
    call("a.update", {"creator": "bob"}),
    call("a.update", {}),
    call("a.details"),
    call("a.delete"),
    call("a.delete"),
    call("a.details"),
    call("a.bytes"),
    call("a.update", {"creator": "bob"}),
    call("IMAGES.hosted.list", {"limit": 1}),
    call("IMAGES.hosted.upload", file(PNG), {"id": "b"}),
    call("IMAGES.hosted.image", "c", keep="c", quiet=True),
    call("c.bytes", keep="bytes", quiet=True),
    call("IMAGES.info", ref("bytes")),
]

# As much as there may be of everything, and more.
ANALYTICS: Final = [
    call("POINTS.writeDataPoint", {"indexes": ["i"], "blobs": ["a", "b"], "doubles": [1, 2.5]}),
    call("POINTS.writeDataPoint", {"blobs": ["a"]}),
    call("POINTS.writeDataPoint", {"doubles": [1]}),
    call("POINTS.writeDataPoint", {}),
    call("POINTS.writeDataPoint"),
    call("POINTS.writeDataPoint", UNDEFINED),
    call("POINTS.writeDataPoint", {"indexes": [raw(1, 2)], "blobs": [raw(1), None]}),
    call("POINTS.writeDataPoint", {"blobs": ["b"] * 20, "doubles": [1] * 20}),
]

PIPELINES: Final = [
    call("PIPE.send", [{"a": 1}, {"b": [2]}]),
    call("PIPE.send", []),
    call("PIPE.send", [{"a": special("date", at=0)}]),
]

ADDRESSES: Final = [
    *[read(f"{name}.{part}") for name in ("PG", "MY") for part in ("user", "password", "database")],
    *[call("kind", ref(f"{name}.{part}")) for name in ("PG", "MY") for part in ("host", "port", "connectionString")],
]

SECRETS: Final = [
    call("SECRET.get"),
    call("SECRET.get", "other"),
    call("NOWHERE.get"),
]

VERSION: Final = [
    call("kind", ref("VERSION.id")),
    read("VERSION.tag"),
    call("kind", ref("VERSION.timestamp")),
    call("keys", ref("VERSION")),
]


def loaded(id: Any = None, **code: Any) -> Step:
    """Load a worker of ``code`` under an id, and ask it for what it says."""
    return call("loaded", id, {"date": "2026-04-01", "main": "entry", "says": "hello", **code})


LOADER: Final = [
    loaded("a"),
    loaded("a", says="not asked for"),
    loaded("b", says="b"),
    loaded(says="one"),
    loaded(says="another"),
    loaded("env", env={"TEXT": "t", "NUMBER": 1.5, "LIST": [1, [2]], "OBJECT": {"a": None}, "TRUE": True}),
    loaded("bytes", env={"BYTES": raw(1, 2)}),
    loaded("function", env={"FUNCTION": special("function")}),
    loaded("date", date=None),
    loaded("no date", date="yesterday"),
    loaded("early", date="1999-01-01"),
    loaded("late", date="2999-01-01"),
    loaded("flag", flags=["nodejs_compat"]),
    loaded("no flag", flags=["no_such_flag"]),
    loaded("main", main=None),
    loaded("other main", main="other"),
    loaded("no modules", modules=None),
    loaded("empty", modules={}),
    loaded("ending", modules={"entry.txt": "x"}),
    loaded("two", modules={"entry.json": {"json": {}, "text": "x"}}),
    loaded("none", modules={"entry.json": {}}),
    loaded("top", fails="top"),
    loaded("syntax", fails="syntax"),
    loaded("throws", fails="fetch"),
    loaded("handler", fails="handler"),
    loaded("callback", fails="callback"),
    loaded("undefined", fails="undefined"),
    loaded("named", entrypoint="Named"),
    loaded("nobody", entrypoint="Nobody"),
    loaded("props", entrypoint="Named", props={"who": "ann"}),
    loaded("alone", alone=True),
    call("LOADER.get", "x"),
    call("LOADER.load"),
]

SERVICES: Final[dict[str, list[Step]]] = {
    "mail": MAIL,
    "arrivals": ARRIVALS,
    "images": IMAGES,
    "hosted": HOSTED,
    "analytics": ANALYTICS,
    "pipelines": PIPELINES,
    "addresses": ADDRESSES,
    "secrets": SECRETS,
    "version": VERSION,
    "loader": LOADER,
}
