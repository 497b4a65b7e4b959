"""The tests that Cloudflare keeps for its SDK and for django-cf, run against us, unedited.

They are read where they are at hand and never kept here: EDGEAGENTS_WORKERS_PY names a checkout of
``cloudflare/workers-py``, or its git directory, or a folder that has ``packages/runtime-sdk`` as it was released. Its
tests start workers with ``uv run pywrangler dev``, which here is ``edgeagents dev``; those that workerd runs itself are
run by ``upstream/inside.py``.

The tests of a package come thrice upstream, for three dates of compatibility; EDGEAGENTS_WORKERS_PY_DATES=all runs them
so, otherwise the middle one is run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.figures import Figures
from tests.wrangler_compat.upstream.tools import WORKERS_PY, copy_of, environment, path_with_pywrangler
from tests.wrangler_compat.upstream.worker_tests import WORKER_TESTS, WorkerTest

pytestmark = [
    pytest.mark.cloudflare("Workers", "Python: the tests of Cloudflare's SDK and of django-cf, unedited", "same"),
    pytest.mark.skipif(not WORKERS_PY, reason="EDGEAGENTS_WORKERS_PY does not say where Cloudflare's SDK is"),
]

ALL_DATES = os.environ.get("EDGEAGENTS_WORKERS_PY_DATES") == "all"
DATE, FLAGS = "2026-01-01", ["python_workers"]
SECONDS = 900


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository's packages, copied."""
    return copy_of(WORKERS_PY, "packages", tmp_path_factory.mktemp("workers-py"))


def needs(*modules: str) -> pytest.MarkDecorator:
    missing = [module for module in modules if find_spec(module) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


SUITES = [
    pytest.param("runtime-sdk", ["tests/test_bindings.py"], True, id="bindings"),
    pytest.param("runtime-sdk", ["tests/test_fastapi.py"], True, id="fastapi", marks=needs("fastapi", "multipart")),
    pytest.param(
        "runtime-sdk",
        ["tests/test_web_frameworks.py"],
        True,
        id="django",
        marks=needs("django", "rest_framework", "corsheaders"),
    ),
    pytest.param("django-cf", ["tests/in_worker"], True, id="django-cf", marks=needs("django", "sqlparse")),
    pytest.param(
        "django-cf",
        ["tests/d1", "tests/durable_objects", "tests/r2", "tests/test_date_trunc.py"],
        False,
        id="django-cf-sites",
        marks=needs("django", "sqlparse"),
    ),
]


@needs("requests")
@pytest.mark.parametrize(("package", "tests", "has_dates"), SUITES)
def test_a_suite_of_workers_passes(
    package: str, tests: list[str], has_dates: bool, packages: Path, tmp_path: Path, figures: Figures
) -> None:
    if not (packages / package).is_dir():
        pytest.skip(f"{package} is no part of what EDGEAGENTS_WORKERS_PY names")
    report = tmp_path / "report.xml"
    chosen = ["-k", "3.13"] if has_dates and not ALL_DATES else []
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *chosen, *tests],
        cwd=packages / package,
        env=environment(PATH=path_with_pywrangler(tmp_path / "bin"), PYTHONPATH=_sdk(packages)),
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert report.exists(), done.stdout + done.stderr
    counts = _counts(ElementTree.parse(report).getroot())
    figures(f"{package} {' '.join(tests)}: {counts}")
    assert done.returncode == 0, done.stdout


def _sdk(packages: Path) -> str:
    # The one that the tests are for, whichever is installed.
    return str(packages / "runtime-sdk" / "src")


def _counts(report: ElementTree.Element) -> str:
    suite = report if report.tag == "testsuite" else next(iter(report))
    total, failed, skipped = (int(suite.get(name, "0")) for name in ("tests", "failures", "skipped"))
    failed += int(suite.get("errors", "0"))
    return f"{total - failed - skipped} passed, {failed} failed, {skipped} skipped"


@pytest.mark.parametrize("name", WORKER_TESTS)
def test_a_worker_tests_itself(
    name: str, packages: Path, tmp_path: Path, figures: Figures, write: Callable[..., Path]
) -> None:
    test = WORKER_TESTS[name]
    missing = [module for module in test.needs if find_spec(module) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    source = packages / "runtime-sdk" / "tests" / "workerd-test" / name
    folders = [write("main", source / "worker.py", test, source), *_others(test, source, write)]
    if test.tester is not None:
        folders.sort(key=lambda folder: folder.name != test.tester)
    internet = [f"--internet={test.internet}"] if test.internet else []
    done = subprocess.run(
        [sys.executable, "-m", "tests.wrangler_compat.upstream.inside", *map(str, folders), *internet],
        env=environment(PYTHONPATH=_sdk(packages)),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    summary = [line.strip("= ") for line in done.stdout.splitlines() if " passed" in line or " failed" in line]
    figures(f"{name}: {summary[-1] if summary else 'ran'}, status {done.returncode}")
    if test.differs:
        assert done.returncode != 0, "It passes: take out why it cannot."
        pytest.xfail(test.differs)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, source: Path | str, test: WorkerTest, upstream: Path) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        if isinstance(source, Path):
            shutil.copy(source, folder / "worker.py")
        else:
            (folder / "worker.py").write_text(source)
        if name == "main" and (upstream / "tests").is_dir():
            shutil.copytree(upstream / "tests", folder / "tests")
        config: dict[str, Any] = {
            "name": name,
            "main": "worker.py",
            "compatibility_date": DATE,
            "compatibility_flags": [*FLAGS, "enable_python_external_sdk", "python_request_headers_preserve_commas"],
        }
        if name == "main":
            config |= test.config
        if name == "tester":
            config["services"] = [{"binding": "PYTHON", "service": "main"}]
        (folder / "wrangler.json").write_text(json.dumps(config))
        return folder

    return write


def _others(test: WorkerTest, source: Path, write: Callable[..., Path]) -> list[Path]:
    return [
        write(name, source / text[1:] if text.startswith("@") else text, test, source)
        for name, text in test.others.items()
    ]
