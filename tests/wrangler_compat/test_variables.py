"""Variables and secrets: the file format, where they come from, and what wins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wrangler_compat.diagnostics import Diagnostics
from wrangler_compat.dotenv import expand, parse_dotenv
from wrangler_compat.variables import VariableSources, read_variables


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("A=1", {"A": "1"}),
        ("  export A = 1  ", {"A": "1"}),
        ("A: 1", {"A": "1"}),
        ("A:1", {}),
        ("A.b-c_2=1", {"A.b-c_2": "1"}),
        ("A=", {"A": ""}),
        ("A=\nB=2", {"A": "", "B": "2"}),
        ("A=1 # why", {"A": "1"}),
        ("A=1#why", {"A": "1"}),
        ("# A=1\n#\nB=2", {"B": "2"}),
        ('A="1 # 2" # three', {"A": "1 # 2"}),
        ("A='1\\n2'", {"A": "1\\n2"}),
        ('A="1\\n2\\t"', {"A": "1\n2\\t"}),
        ('A="one\ntwo"\nB=3', {"A": "one\ntwo", "B": "3"}),
        ('A=`it\'s "x"`', {"A": 'it\'s "x"'}),
        ('A="x" y', {"A": '"x" y'}),
        ("A=it's", {"A": "it's"}),
        ('A={"j": 1}', {"A": '{"j": 1}'}),
        ("A=1\r\nB=2\rC=3", {"A": "1", "B": "2", "C": "3"}),
        ("A=1\nA=2", {"A": "2"}),
        ("\ufeffA=1", {"A": "1"}),
        ("not a line\nB=2", {"B": "2"}),
        ("A=a=b", {"A": "a=b"}),
        ("A='open\nB=2", {"A": "'open", "B": "2"}),
    ],
)
def test_the_file_format(text: str, variables: dict[str, str]) -> None:
    assert parse_dotenv(text) == variables


@pytest.mark.parametrize(
    ("value", "expanded"),
    [
        ("$X/y", "x/y"),
        ("${X}y", "xy"),
        ("$UNSET.", "."),
        ("${UNSET:-d}", "d"),
        ("${EMPTY:-d}", "d"),
        ("${EMPTY-d}", ""),
        ("${UNSET-d}", "d"),
        ("${X:+o}", "o"),
        ("${UNSET:+o}", ""),
        ("${UNSET:-${X}}", "x"),
        (r"\$X", "$X"),
        ("$CHAIN", "x!"),
        ("a$", "a$"),
    ],
)
def test_references_are_expanded(value: str, expanded: str) -> None:
    known = {"X": "x", "EMPTY": "", "CHAIN": "${X}!", "A": value}
    assert expand(known)["A"] == expanded


def test_a_reference_to_itself_is_empty_and_ends() -> None:
    assert expand({"A": "$B", "B": "$A."}) == {"A": ".", "B": "."}


def variables_of(folder: Path, values: dict[str, Any] | None = None, environment: str | None = None, **sources: Any):
    found, files = read_variables(values or {}, folder, environment, VariableSources(**sources), Diagnostics())
    return {name: (v.kind, v.value) for name, v in found.items()}, [file.name for file in files]


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / ("." + name.replace("__", "."))).write_text(text)


def test_vars_keep_their_types(tmp_path: Path) -> None:
    found, _ = variables_of(tmp_path, {"vars": {"A": "a", "N": 1, "O": {"x": None}}})
    assert found == {"A": ("plain_text", "a"), "N": ("json", 1), "O": ("json", {"x": None})}


def test_secrets_replace_vars(tmp_path: Path) -> None:
    write(tmp_path, dev__vars="A=secret\nB=2")
    found, files = variables_of(tmp_path, {"vars": {"A": {"json": 1}}})
    assert found == {"A": ("secret_text", "secret"), "B": ("secret_text", "2")}
    assert files == [".dev.vars"]


def test_dev_vars_of_an_environment_stand_in_for_the_others(tmp_path: Path) -> None:
    write(tmp_path, dev__vars="A=1\nB=1", dev__vars__a="A=2", env="C=1")
    assert variables_of(tmp_path, environment="a")[0] == {"A": ("secret_text", "2")}
    assert variables_of(tmp_path, environment="b")[0] == {"A": ("secret_text", "1"), "B": ("secret_text", "1")}


def test_an_empty_dev_vars_counts(tmp_path: Path) -> None:
    write(tmp_path, dev__vars="", env="A=1")
    assert variables_of(tmp_path) == ({}, [".dev.vars"])


def test_dot_env_files_are_merged_and_expanded(tmp_path: Path) -> None:
    write(tmp_path, env="A=1\nB=1\nC=1\nD=$A", env__local="B=2", env__a="C=3", env__a__local="A=4", env__b="A=9")
    found, files = variables_of(tmp_path, environment="a")
    assert {name: value for name, (_, value) in found.items()} == {"A": "4", "B": "2", "C": "3", "D": "4"}
    assert files == [".env", ".env.local", ".env.a", ".env.a.local"]


def test_dev_vars_are_not_expanded(tmp_path: Path) -> None:
    write(tmp_path, dev__vars="A=1\nB=$A")
    assert variables_of(tmp_path)[0]["B"] == ("secret_text", "$A")


def test_env_files_given_by_name_replace_the_search(tmp_path: Path) -> None:
    write(tmp_path, dev__vars="A=1", one="B=1\nC=1", two="C=2")
    found, _ = variables_of(tmp_path, env_files=(".one", ".missing", ".two"))
    assert found == {"B": ("secret_text", "1"), "C": ("secret_text", "2")}


def test_dot_env_can_be_switched_off(tmp_path: Path) -> None:
    write(tmp_path, env="A=1")
    assert variables_of(tmp_path, process={"CLOUDFLARE_LOAD_DEV_VARS_FROM_DOT_ENV": "false"})[0] == {}


def test_the_process_environment_joins_when_asked_below_the_files(tmp_path: Path) -> None:
    write(tmp_path, env="A=file")
    process = {"CLOUDFLARE_INCLUDE_PROCESS_ENV": "true", "A": "process", "P": "p"}
    found, _ = variables_of(tmp_path, process=process)
    assert (found["A"], found["P"]) == (("secret_text", "file"), ("secret_text", "p"))


def test_the_command_line_beats_everything(tmp_path: Path) -> None:
    write(tmp_path, dev__vars="A=secret")
    assert variables_of(tmp_path, {"vars": {"A": "var"}}, overrides={"A": "line"})[0] == {"A": ("plain_text", "line")}


def test_with_secrets_declared_only_these_are_taken_and_missing_ones_told(tmp_path: Path) -> None:
    write(tmp_path, dev__vars="A=1\nOTHER=1")
    diagnostics = Diagnostics()
    found, _ = read_variables({"secrets": {"required": ["A", "B"]}}, tmp_path, None, VariableSources(), diagnostics)
    assert set(found) == {"A"}
    assert [d.message for d in diagnostics] == ["Missing required secrets: B"]
