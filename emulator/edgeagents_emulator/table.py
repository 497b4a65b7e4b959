"""Tables on a terminal: columns as wide as what is in them, under their names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

__all__ = ["table"]


def table(rows: Sequence[Sequence[str]], indent: str = "") -> Iterator[str]:
    """Yield a line for each of ``rows``, which have the same number of cells. The first one may be their names."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield f"{indent}{'   '.join(cells).rstrip()}"
