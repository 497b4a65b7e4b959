"""Bindings answer what a run of workerd has answered, call by call; where they do not, the reason stands here.

The calls are in ``plays.py``, the answers in ``recorded/``. Alike for this test are:

* a Map and a plain object, since our objects read as Maps too;
* an error and one whose text begins with the other's, since ours may say what to do in Python;
* what V8 says of JSON, of what cannot be cloned, or of arguments that are missing, and what we say of it;
* the name of an error before its text, which errors of workflows have there;
* an error of which workerd keeps the reason to itself, and one that gives it.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.bindings.ours import answers_to
from tests.bindings.plays import PLAYS, RECORDED, batch
from tests.bindings.services import (
    AS_PNG,
    COPIED,
    EMPTY,
    ID,
    NO_PICTURES,
    RENAMING,
    TO_B,
    arrives,
    loaded,
    made,
    mail,
    sent,
)
from tests.bindings.steps import NAN, UNDEFINED, Step, call, raw

pytestmark = [
    pytest.mark.cloudflare("Workers", "KV namespaces", "same"),
    pytest.mark.cloudflare("Workers", "R2 buckets", "same"),
    pytest.mark.cloudflare("Workers", "D1 databases", "same"),
    pytest.mark.cloudflare(
        "Email", "`send_email`, `forward`, `reply`, `setReject`: what is sent and what is refused", "same"
    ),
    pytest.mark.cloudflare(
        "Workers",
        "Images: formats, sizes and fits",
        "same; options that workerd leaves out locally work as well",
    ),
]

_UNDEFINED = "Python has one None for null and undefined, which means null"
_BUFFER = "Python's bytes are a buffer and a view"
_TRANSACTION = "it ends with what to do in Python"
_CLASS = "a storage class that is none is refused, as in production and not locally"
_CHANGED = "the database was changed, and says so"
_AUTH = "the authorizer's words"
_BIGINT = "a whole number beyond 2**53 is a BigInt for Pyodide"
_ACKNOWLEDGED = "what was acknowledged does not come again when the handler fails, as in production"
_OWN_MARK = "a message's own mark beats that of its batch, as in production"


def _after(reason: str, **does: list[str]) -> dict[str, str]:
    """Return a reason for what a handler of queues has seen after a batch."""
    sent, _ = batch(**does)
    return {f"{sent['do']} {json.dumps(sent['with'])} > handled": reason}


def _name(step: Step) -> str:
    given = json.dumps(step["with"], ensure_ascii=False)
    return f"{step['do']} {given if len(given) < 400 else f'{given[:40]}...'}"


def _at(reason: str, *steps: Step) -> dict[str, str]:
    """Return a reason for what these calls give."""
    return dict.fromkeys(map(_name, steps), reason)


DIFFERENT: dict[str, dict[str, str]] = {
    "kv": {
        'KV.delete [["m2", "m3"]]': "several keys are refused; workerd takes the list for one key with a comma in it",
    },
    "r2": {
        'R2.put ["c", "x", {"storageClass": "Nope"}]': _CLASS,
        'R2.createMultipartUpload ["multi4", {"storageClass": "Nope"}]': _CLASS,
        'R2.put ["c", "x", {"customMetadata": {"n": {"$": "text", "of": "é", "times": 1024}}}]': "metadata is counted "
        "in bytes, as in production, and not in characters",
        'R2.list [{"limit": -1}]': "there is no list of fewer than one object",
        'R2.delete [["k0", "k1", "k2", "k3", "k4", "k5", "k...': "no more than 1000 at once, as in production",
        "bad.complete [[]]": "an upload that is not there is told as what it is",
        "bad.complete [[]] > bad.abort": "to abort an upload that is not there is no error",
    },
    "d1": {
        "select.first [null]": "None is no column's name",
        'v.bind [{"$": "undefined"}]': _UNDEFINED,
        'v.bind [{"$": "date", "at": 0}]': "a date is written as Python does",
        **{
            f'DB.prepare ["{sql}"] > s.all': _TRANSACTION
            for sql in ("BEGIN", "BEGIN TRANSACTION", "COMMIT", "ROLLBACK")
        },
        'DB.prepare ["SAVEPOINT a"] > s.all': _TRANSACTION,
        'DB.prepare ["VACUUM"] > s.all': _AUTH,
        'DB.prepare ["SELECT sqlite_version() IS NOT NULL AS v"] > s.all': _AUTH,
        "DB.prepare [\"SELECT load_extension('x')\"] > s.all": _AUTH,
        'DB.prepare ["SELECT * FROM _cf_KV"] > s.all': "there is such a table, and it is refused",
        'DB.prepare ["PRAGMA table_list"] > s.all': "the tables of our own are others",
        "DB.prepare [\"ALTER TABLE u ADD COLUMN c TEXT NOT NULL DEFAULT 'x'\"] > s.all": _CHANGED,
        'DB.prepare ["CREATE TRIGGER g AFTER INSERT ON u BEGIN DELETE FROM u WHERE id < 0; END"] > s.all': _CHANGED,
        'DB.prepare ["PRAGMA optimize"] > s.all': "nothing was changed",
        'DB.prepare ["SELECT 1; -- end"] > s.all': "a comment may end a text, as in production",
        "DB.prepare [\"SELECT * FROM sqlite_master WHERE name = 'u'\"] > s.all": "the pages are others",
        'DB.exec ["SELECT 1\\nNOPE"]': "the line that failed is named, and not the first",
        "DB.exec [\"INSERT INTO t (name) VALUES ('kept')\\nINSERT INTO t (name) VALUES ('a!')\"]": "so here",
        'DB.exec ["SELECT 1;\\n-- comment\\nSELECT 2;"]': "so here",
        "DB.batch [[5]]": "it says what a batch is made of",
        'DB.batch ["x"]': "so here",
        'DB.batch ["x"] > DB.dump': "it says what to do",
        "DB.withSession [5]": "a constraint that is none is as good as none",
    },
    "queues": {
        'QUEUE.send [{"$": "undefined"}]': _UNDEFINED,
        'QUEUE.sendBatch [[{"body": {"$": "undefined"}}]]': _UNDEFINED,
        'QUEUE.send [{"$": "bytes", "bytes": [1, 2]}, {"contentType": "bytes"}]': _BUFFER,
        'QUEUE.send [{"$": "zeros", "length": 128001}, {"contentType": "bytes"}]': _BUFFER,
        'QUEUE.send [{"$": "function"}, {"contentType": "v8"}]': "it is named as Python does",
        'QUEUE.send ["x", {"contentType": null}]': "None is the default",
    },
    "object_sql": {
        'storage.sql.exec ["SELECT ? AS v, typeof(?1) AS t", 9007199254740993]': _BIGINT,
        'storage.sql.exec ["SELECT ? AS v, typeof(?1) AS t", 9007199254740993] > c.toArray': _BIGINT,
        **{f'storage.sql.exec ["{sql}"]': _TRANSACTION for sql in ("BEGIN", "COMMIT", "SAVEPOINT a", "ROLLBACK")},
        'storage.sql.exec ["SELECT ? AS c0, ? AS c1, ? AS c2, ? AS...': "it says how many are allowed",
        'storage.sql.exec ["VACUUM"]': _AUTH,
        "storage.sql.exec [\"SELECT load_extension('x')\"]": _AUTH,
        'storage.sql.exec ["SELECT sqlite_version()"]': _AUTH,
        'storage.sql.exec ["SELECT * FROM _cf_KV"]': _AUTH,
        'storage.sql.exec ["DROP TABLE _cf_KV"]': _AUTH,
        'storage.sql.exec ["SELECT * FROM dbstat"]': _AUTH,
    },
    "object_storage": {
        'storage.put [{"$": "text", "of": "k", "times": 3000000}, 1]': "it begins with what is too big",
        'storage.put ["big", {"$": "text", "of": "a", "times": 2097252}]': "a key and its value have 2 MiB together",
        'storage.kv.put ["sync2", {"$": "undefined"}]': "nothing is no value, for kv.put as for put",
    },
    "consumer": {
        **_after(_ACKNOWLEDGED, a=["ack"], b=["throw"]),
        **_after(_ACKNOWLEDGED, a=["ack"], b=["retryAll", "throw"]),
        **_after(_OWN_MARK, a=["retryAll"], b=["ack"]),
        **_after(_OWN_MARK, a=["ackAll"], b=["retry"]),
        **_after(_OWN_MARK, a=["ack", "retryAll"]),
    },
    "ratelimit": {},
    "workflows": {
        'until [{"$": "ref", "of": "final"}, "errored"]': "what was raised is told, and not that it was",
        "waits.sendEvent [{}]": "an event without a type, which nobody can wait for, is refused",
        'waits.sendEvent [{"payload": 1}]': "so here",
        'FLOW.create [{"id": "waits"}]': "an id that is in use is refused, as in production",
        'FLOW.createBatch [[{"id": "b2"}, {"id": "b3"}]]': "so here: it is passed over",
    },
    "mail": {
        **_at("what is missing is said", sent("MAIL", "a@x.com", "b@x.com", "")),
        **_at("so here", sent("MAIL", "a@x.com", "b@x.com", mail(TO_B, ID))),
        **_at("without text and HTML there is no mail", call("MAIL.send", EMPTY)),
        **_at("whom a binding may send to holds for copies as well", call("ONE.send", COPIED)),
    },
    "arrivals": {
        **_at("what is missing is said", arrives(message="")),
        **_at("only headers that begin with X- can be added, as in production", arrives(RENAMING)),
    },
    "images": {
        **_at(
            "it is said what is wrong, with the number that production has",
            *[call("IMAGES.info", one) for one in (*NO_PICTURES, "text", UNDEFINED, raw(1, 2, 3))],
            *[made({name: value}) for name, value in (("width", "4"), ("width", NAN), ("rotate", "90"))],
            call("t.output", AS_PNG),
        ),
        **_at(
            "a format that is none is refused, as in production", made(output={"format": "image/bmp"}), made(output={})
        ),
        **_at("so are a size and a fit", made({"width": 0}), made({"width": 4, "fit": "nothing"})),
    },
    "hosted": {},
    "analytics": {},
    "pipelines": {},
    "addresses": {},
    "secrets": {},
    "version": {},
    "loader": {
        **_at("every date is as good as today's", loaded("late", date="2999-01-01")),
        **_at("flags that mean nothing here are passed over", loaded("no flag", flags=["no_such_flag"])),
        **_at("what is missing is said", loaded("main", main=None), loaded("other main", main="other")),
        **_at("so here", loaded("undefined", fails="undefined"), loaded("nobody", entrypoint="Nobody")),
        **_at("so here, too", loaded("handler", fails="handler")),
        **_at(
            "it is Python, with a traceback",
            *(loaded(name, fails=fails) for name, fails in (("top", "top"), ("syntax", "syntax"), ("throws", "fetch"))),
        ),
    },
}


@pytest.mark.parametrize("play", PLAYS)
async def test_answers_are_those_of_workerd_but_for_reasons(play: str) -> None:
    lines = (RECORDED / f"{play}.jsonl").read_text(encoding="utf-8").splitlines()
    recorded = [json.loads(line) for line in lines]
    steps = PLAYS[play]
    assert [(one["do"], one["with"]) for one in recorded] == [(step["do"], step["with"]) for step in steps], (
        "The plays have changed since they were recorded: python -m tests.bindings.plays"
    )
    names = _names(steps)
    differing = {
        name: (one["answer"], answer)
        for name, one, answer in zip(names, recorded, await answers_to(steps), strict=True)
        if not _alike(_plain(one["answer"]), _plain(answer))
    }
    unexplained = {name: both for name, both in differing.items() if name not in DIFFERENT[play]}
    assert not unexplained, json.dumps(unexplained, ensure_ascii=False, indent=1)
    assert set(DIFFERENT[play]) == set(differing)


def _names(steps: list[Step]) -> list[str]:
    """Return what each step is called: by its arguments or, without any, by the last call that had some."""
    names: list[str] = []
    last = ""
    for step in steps:
        if step["with"]:
            last = _name(step)
            names.append(last)
        else:
            names.append(f"{last} > {step['do']}")
    return names


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        # What is wrong with it, and what to do, is said in other words.
        text = value.removeprefix("Error: ").removeprefix("WorkflowError: ")
        return text.partition("is in a invalid format.")[0].partition("is not serialisable")[0]
    if not isinstance(value, dict):
        # JavaScript's numbers are floats, and large ones are written with zeros at their end.
        return float(value) if isinstance(value, int) and abs(value) > 2**53 else value
    if value.get("$") == "map":
        return {name: _plain(item) for name, item in value["entries"]}
    # Locally there is one class only, without a name; and ours have null where theirs have nothing.
    left_out = {"storageClass"} | {name for name in ("range", "error") if value.get(name) is None}
    return {name: _plain(item) for name, item in value.items() if name not in left_out}


def _alike(theirs: Any, ours: Any) -> bool:
    if theirs == ours:
        return True
    if isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        return all(map(_alike, theirs, ours))
    if not _is_error(theirs, ours):
        is_alike_in = isinstance(theirs, dict) and isinstance(ours, dict) and "$" not in theirs
        return is_alike_in and theirs.keys() == ours.keys() and all(_alike(theirs[key], ours[key]) for key in theirs)
    if theirs["message"] == "Unknown Internal Error (15000)":
        return True
    if theirs["name"] != ours["name"]:
        return False
    if theirs["name"] == "DataCloneError":
        return True
    said = theirs["message"]
    is_v8s = theirs["name"] == "SyntaxError" or said.startswith("Failed to execute")
    return is_v8s or ours["message"].startswith(said)


def _is_error(one: Any, other: Any) -> bool:
    return isinstance(one, dict) and isinstance(other, dict) and one.get("$") == other.get("$") == "error"
