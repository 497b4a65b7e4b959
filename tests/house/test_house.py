"""The house itself: floors, style, types, public names, what the wheel holds."""

from __future__ import annotations

import importlib
import pkgutil
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import edgeagents

ROOT = Path(__file__).parents[2]
PACKAGES = [
    "edgeagents",
    "wrangler_compat",
    "edgeagents_emulator",
    "edgeagents_openai",
    "edgeagents_anthropic",
    "edgeagents_pydantic_ai",
    "edgeagents_litellm",
    "edgeagents_mcp",
    "edgeagents_email",
    "edgeagents_otel",
    "edgeagents_assets",
    "edgeagents_kv",
    "edgeagents_d1",
    "edgeagents_r2",
    "edgeagents_queues",
    "edgeagents_workflows",
    "edgeagents_ai",
    "edgeagents_vectorize",
    "edgeagents_images",
    "edgeagents_platform",
    "edgeagents_browser",
]


def run(*command: str, cwd: Path = ROOT) -> str:
    found = shutil.which(command[0], path=f"{Path(sys.executable).parent}") or shutil.which(command[0])
    if found is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run([found, *command[1:]], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_floor_imports_only_what_stands_below_it():
    run("lint-imports", "--no-cache")


def test_the_code_is_formatted_and_clean():
    run("ruff", "format", "--check", ".")
    run("ruff", "check", ".")


def test_the_types_hold():
    run("pyright", "--pythonpath", sys.executable)


def modules() -> list[str]:
    names = []
    for package in PACKAGES:
        names.append(package)
        path = importlib.import_module(package).__path__
        names += [info.name for info in pkgutil.walk_packages(path, f"{package}.")]
    return names


@pytest.mark.parametrize("name", modules())
def test_public_names_are_there(name):
    module = importlib.import_module(name)
    listed = getattr(module, "__all__", [])
    assert [entry for entry in listed if not hasattr(module, entry)] == []


@pytest.mark.parametrize("name", modules())
def test_every_module_says_what_it_is_about(name):
    assert (importlib.import_module(name).__doc__ or "").strip()


def test_importing_the_package_starts_nothing():
    code = (
        "import sys, threading, edgeagents, edgeagents.emulator\n"
        "assert threading.active_count() == 1\n"
        "assert 'hypercorn' not in sys.modules and 'openai' not in sys.modules\n"
    )
    run(sys.executable, "-W", "error", "-c", code)


def test_what_few_programs_use_is_imported_when_it_is_asked_for():
    code = (
        "import sys, edgeagents\n"
        "late = {'edgeagents.agents.chat', 'edgeagents.agents.client'}\n"
        "assert not late & sys.modules.keys(), late & sys.modules.keys()\n"
        "from edgeagents import AgentClient, AIChatAgent\n"
        "assert late <= sys.modules.keys()\n"
        "assert edgeagents.AIChatAgent is AIChatAgent is sys.modules['edgeagents.agents.chat'].AIChatAgent\n"
        "assert not hasattr(edgeagents, 'AIChatAgents') and not hasattr(edgeagents.agents, 'AgentClients')\n"
    )
    run(sys.executable, "-W", "error", "-c", code)


def test_the_package_shows_its_public_names_and_its_version():
    shown = dir(edgeagents)

    assert [name for name in shown if not name.startswith("__")] == sorted(edgeagents.__all__)
    assert "__version__" in shown
    assert edgeagents.__version__ == metadata.version("edgeagents")


def test_a_plugin_that_is_only_installed_imports_no_vendors_package():
    code = (
        "import importlib, sys\n"
        "from importlib.metadata import entry_points\n"
        "for found in entry_points(group='edgeagents'): found.load()\n"
        "vendors = {'openai', 'anthropic', 'pydantic_ai', 'litellm', 'mcp', 'numpy', 'PIL'}\n"
        "assert not vendors & sys.modules.keys(), vendors & sys.modules.keys()\n"
    )
    run(sys.executable, "-c", code)


def test_the_wheel_holds_three_packages_and_nothing_generic(tmp_path):
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path))
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"edgeagents", "wrangler_compat", "edgeagents_emulator"}
    assert all(f"{top}/py.typed" in names for top in tops)
