"""The pages of ``docs/``: their code as files, and as modules that tests use.

A block of Python belongs to the file that the line before it names, ``<!-- file: watch.py -->``, or else to
``main.py``. Blocks of one file stand in it one after another.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["ROOT", "Page"]

ROOT = Path(__file__).parents[1]

_BLOCK = re.compile(r"(?:<!-- file: (?P<file>\S+) -->\n)?```(?P<language>\w+)\n(?P<code>.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Page:
    """A page of the documentation, such as ``docs/agents.md``."""

    path: str

    @cached_property
    def text(self) -> str:
        return (ROOT / self.path).read_text()

    def blocks(self, language: str) -> list[str]:
        """Return the code blocks in ``language``, whichever file they belong to."""
        return [found["code"] for found in _BLOCK.finditer(self.text) if found["language"] == language]

    @cached_property
    def files(self) -> dict[str, str]:
        """The page's Python, by the file that it belongs to."""
        files: dict[str, str] = {}
        for found in _BLOCK.finditer(self.text):
            if found["language"] == "python":
                name = found["file"] or "main.py"
                files[name] = files.get(name, "") + "\n\n" + found["code"]
        return files

    def write_to(self, folder: Path) -> None:
        """Write the page's files into ``folder``."""
        for name, code in self.files.items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(code)

    @contextmanager
    def module(self, file: str = "main.py", **names: Any) -> Iterator[Any]:
        """Run a file of the page as a module, in which ``names`` are there already, and have it in the block."""
        module = ModuleType(f"docs_{Path(self.path).stem}_{Path(file).stem}")
        vars(module).update(names)
        sys.modules[module.__name__] = module
        try:
            exec(compile(self.files[file], f"{self.path}: {file}", "exec", dont_inherit=True), vars(module))
            yield module
        finally:
            del sys.modules[module.__name__]
