"""The process that serves: what it has ready before it is told what."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from edgeagents_emulator.serve import import_ahead, modules_of_ours
from edgeagents_emulator.serving_process import Ahead

NAMES = ("edgeagents_first", "edgeagents_second")


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    for name in NAMES:
        sys.modules.pop(name, None)


def module(folder: Path, name: str, text: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(text)
    return folder


def test_it_imports_what_the_one_before_it_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(module(tmp_path, NAMES[0], "import edgeagents_second"))
    module(tmp_path, NAMES[1])
    import_ahead(Ahead(modules=["edgeagents_that_was_uninstalled", NAMES[0]]))
    assert set(NAMES) < set(modules_of_ours())


def test_what_lies_in_the_project_s_folder_is_left_until_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(module(tmp_path / "project" / "plugin", NAMES[0]))
    monkeypatch.syspath_prepend(module(tmp_path / "project" / ".venv" / "site-packages", NAMES[1]))
    import_ahead(Ahead([str(tmp_path / "project")], NAMES))
    assert [name for name in NAMES if name in sys.modules] == [NAMES[1]]


def test_what_fails_is_left_to_the_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(module(tmp_path, NAMES[0], "raise ValueError('not now')"))
    module(tmp_path, NAMES[1])
    import_ahead(Ahead(modules=NAMES))
    assert [name for name in NAMES if name in sys.modules] == [NAMES[1]]


def test_packages_of_the_project_s_own_environment_come_before_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    monkeypatch.syspath_prepend(module(tmp_path / "ours" / "site-packages", NAMES[0], "whose = 'ours'"))
    own = tmp_path / "project" / ".venv"
    module(own / "lib" / f"python{here}" / "site-packages", NAMES[0], "whose = 'its own'")
    (own / "pyvenv.cfg").write_text(f"version = {here}.0\n")
    before = list(sys.path)
    import_ahead(Ahead([str(tmp_path / "project")], NAMES[:1]))
    assert sys.modules[NAMES[0]].whose == "its own"
    assert sys.path == before
