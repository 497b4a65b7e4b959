"""What to type when an import finds nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from wrangler_compat.missing_packages import how_to_install, package_of


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("PIL", "pillow"),
        ("PIL.Image", "pillow"),
        ("yaml", "pyyaml"),
        ("bs4", "beautifulsoup4"),
        ("cv2", "opencv-python-headless"),
        ("sklearn.linear_model", "scikit-learn"),
        ("dotenv", "python-dotenv"),
        ("jwt", "pyjwt"),
        ("google.cloud.storage", "google-cloud-storage"),
        ("google.genai", "google-genai"),
        ("mysql.connector", "mysql-connector-python"),
        ("fastapi", "fastapi"),
        ("langchain_core.messages", "langchain-core"),
    ],
)
def test_modules_are_found_in_their_packages(module: str, package: str) -> None:
    assert package_of(module) == package


def write(folder: Path, dependencies: str) -> None:
    (folder / "pyproject.toml").write_text(f'[project]\nname = "x"\ndependencies = {dependencies}\n')


def test_without_a_project_the_package_is_named(tmp_path: Path) -> None:
    assert how_to_install("yaml", tmp_path) == "Install it: pip install pyyaml"


@pytest.mark.parametrize(
    ("module", "line", "told"),
    [
        ("yaml", "PyYAML>=6", "pip install 'PyYAML>=6'"),
        ("fastapi", "fastapi[standard]", "pip install 'fastapi[standard]'"),
        ("PIL", "pillow==12.0", "pip install pillow==12.0"),
        ("my_lib.part", "my.lib @ git+https://x.example/my", "pip install 'my.lib @ git+https://x.example/my'"),
        # Its package is not known here, but the project asks for one of the module's name.
        ("jwt", "jwt>=1", "pip install 'jwt>=1'"),
    ],
)
def test_the_line_of_the_project_is_what_is_installed(tmp_path: Path, module: str, line: str, told: str) -> None:
    write(tmp_path, f'["other>=1", "{line}"]')
    assert how_to_install(module, tmp_path) == f"pyproject.toml asks for {line!r}. Install it: {told}"


def test_a_package_that_the_project_does_not_ask_for_is_to_be_added(tmp_path: Path) -> None:
    write(tmp_path, '["other>=1"]')
    told = "Add 'pillow' to dependencies in pyproject.toml, and install it: pip install pillow"
    assert how_to_install("PIL", tmp_path) == told


def test_where_uv_keeps_the_project_uv_does_it(tmp_path: Path) -> None:
    write(tmp_path, '["pillow"]')
    (tmp_path / "uv.lock").write_text("")
    assert how_to_install("PIL", tmp_path) == "pyproject.toml asks for 'pillow'. Install it: uv sync"
    assert how_to_install("yaml", tmp_path) == "Install it: uv add pyyaml"


@pytest.mark.parametrize("text", ["[project", "[tool.x]\n", "project = 1", '[project]\ndependencies = "x"\n'])
def test_a_project_file_without_dependencies_is_no_hindrance(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    assert how_to_install("yaml", tmp_path) == "Install it: pip install pyyaml"
