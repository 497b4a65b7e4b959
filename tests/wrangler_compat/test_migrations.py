"""Migrations: the store of each class."""

from __future__ import annotations

from typing import Any

import pytest

from edgeagents.class_changes import ClassChange, Transfer
from wrangler_compat.migrations import CannotMigrate, class_changes, storage_kinds


@pytest.mark.parametrize(
    ("steps", "stores"),
    [
        ([], {}),
        ([{"new_sqlite_classes": ["A"], "new_classes": ["B"]}], {"A": "sqlite", "B": "legacy-kv"}),
        ([{"new_sqlite_classes": ["A"]}, {"renamed_classes": [{"from": "A", "to": "B"}]}], {"B": "sqlite"}),
        ([{"new_sqlite_classes": ["A"]}, {"deleted_classes": ["A"]}], {}),
        # A class is deleted before one of its name is made anew, within one step.
        ([{"new_classes": ["A"]}, {"deleted_classes": ["A"], "new_sqlite_classes": ["A"]}], {"A": "sqlite"}),
        # A rename onto a class that is there replaces it.
        (
            [{"new_classes": ["A"], "new_sqlite_classes": ["B"]}, {"renamed_classes": [{"from": "A", "to": "B"}]}],
            {"B": "legacy-kv"},
        ),
        ([{"transferred_classes": [{"from": "X", "from_script": "s", "to": "A"}]}], {}),
    ],
)
def test_steps_are_applied_in_file_order(steps: list[dict[str, Any]], stores: dict[str, str]) -> None:
    assert storage_kinds(steps, {}) == stores


@pytest.mark.parametrize(
    ("steps", "at"),
    [
        ([{"deleted_classes": ["A"]}], 0),
        ([{}, {"renamed_classes": [{"from": "A", "to": "B"}]}], 1),
        ([{"new_classes": ["A"]}, {"new_sqlite_classes": ["A"]}], 1),
        ([{"new_classes": ["A"], "new_sqlite_classes": ["A"]}], 0),
    ],
)
def test_steps_that_contradict_each_other_name_the_step(steps: list[dict[str, Any]], at: int) -> None:
    with pytest.raises(CannotMigrate) as caught:
        storage_kinds(steps, {})
    assert caught.value.step == at


def test_live_exports_come_last() -> None:
    exports = {
        "A": {"type": "durable-object", "storage": "sqlite"},
        "B": {"type": "durable-object", "state": "deleted"},
        "C": {"type": "durable-object", "state": "expecting-transfer", "storage": "legacy-kv", "transfer_from": "x"},
        "Default": {"type": "worker"},
    }
    assert storage_kinds([], exports) == {"A": "sqlite", "C": "legacy-kv"}


def test_each_step_is_a_change_of_what_is_stored() -> None:
    (change,) = class_changes(
        [
            {
                "tag": "v1",
                "deleted_classes": ["A"],
                "renamed_classes": [{"from": "B", "to": "C"}],
                "new_classes": ["D"],
                "new_sqlite_classes": ["E"],
                "transferred_classes": [{"from": "F", "from_script": "other", "to": "G"}],
            }
        ],
        {},
    )
    assert change == ClassChange("v1", ["A"], [("B", "C")], ["D", "E"], [Transfer("F", "other", "G")])


def test_exports_that_tell_of_a_change_are_steps_too() -> None:
    changes = class_changes(
        [],
        {
            "A": {"type": "durable-object", "state": "deleted"},
            "B": {"type": "durable-object", "state": "renamed", "renamed_to": "C"},
            "C": {"type": "durable-object", "storage": "sqlite"},
            "D": {"type": "durable-object", "state": "transferred", "transferred_to": "other"},
            "E": {"type": "durable-object", "state": "expecting-transfer", "storage": "sqlite", "transfer_from": "x"},
            "Default": {"type": "worker"},
        },
    )
    assert [(change.deleted, change.renamed, change.transferred) for change in changes] == [
        (["A"], (), ()),
        ((), [("B", "C")], ()),
        ((), (), [Transfer("E", "x", "E")]),
    ]
    assert len({change.tag for change in changes}) == 3
