"""The table of ``docs/limits.md``, made of the fields of ``Limits``: ``python -m tests.limits`` writes it anew."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from edgeagents.objects import Limits
from edgeagents.objects import limits as module

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/limits.md"
_TABLE = re.compile(r"(<!-- limits: python -m tests\.limits -->\n).*?(<!-- end -->)", re.DOTALL)
_UNITS = ((1024 * 1024, "MiB"), (1024, "KiB"))


def table() -> str:
    """Return the table: a section a heading in the source, a row a field, with its default and what is said of it."""
    source = Path(module.__file__).read_text()
    cls = next(node for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
    headings = {
        number: line.strip("# ") for number, line in enumerate(source.splitlines(), 1) if line.startswith("    # ")
    }
    lines: list[str] = []
    for field, text in zip(cls.body, cls.body[1:], strict=False):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        assert isinstance(text, ast.Expr), f"{field.target.id} has no docstring"
        for number in [number for number in headings if number < field.lineno]:
            lines += ["", f"### {headings.pop(number)}", "", "| field | default | what it bounds |", "|---|---|---|"]
        said = " ".join(str(ast.literal_eval(text.value)).split()).replace("``", "`")
        lines.append(f"| `{field.target.id}` | {shown(field.target.id)} | {said} |")
    return "\n".join(lines).strip() + "\n"


def shown(name: str) -> str:
    """Return the default of a field as one reads it."""
    value = getattr(Limits(), name)
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value)
    if name.endswith("_seconds"):
        return f"{value:g} s"
    if name.endswith("_bytes"):
        for size, unit in _UNITS:
            if value % size == 0:
                return f"{value // size} {unit}"
        return f"{value:,} bytes"
    return f"{value:,}"


def page() -> str:
    """Return the page with the table as it should be."""
    return _TABLE.sub(lambda found: f"{found[1]}\n{table()}\n{found[2]}", PAGE.read_text())


if __name__ == "__main__":
    PAGE.write_text(page())
