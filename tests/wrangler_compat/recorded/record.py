"""Expressions and what workerd answers to them, a line each, in the files beside this one.

A case is JavaScript and, but for ``new``, Python: values in single quotes, parts in ``; ``, the last of which is what
is asked for. A line that is only a case is given its answer by

    python -m tests.wrangler_compat.recorded.record          (needs Node.js and tests/clients/workerd)

which asks for all the others again.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent


def recorded() -> dict[str, dict[str, Any]]:
    """Return the answers by case, for each file. Those of bare cases are None."""
    made: dict[str, dict[str, Any]] = {}
    for path in sorted(HERE.glob("*.jsonl")):
        lines = path.read_text(encoding="utf-8").splitlines()
        records = [json.loads(line) if line.startswith('{"case"') else {"case": line} for line in lines]
        made[path.stem] = {one["case"]: one.get("answer") for one in records}
    return made


def main() -> None:
    """Record the answers."""
    cases = {name: list(answers) for name, answers in recorded().items()}
    done = subprocess.run(
        ["node", HERE / "record.mjs"], input=json.dumps(cases), stdout=subprocess.PIPE, text=True, check=True
    )
    for name, answers in json.loads(done.stdout).items():
        records = [{"case": case, "answer": answer} for case, answer in zip(cases[name], answers, strict=True)]
        lines = [json.dumps(record, ensure_ascii=False) for record in records]
        (HERE / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8", errors="surrogatepass")


if __name__ == "__main__":
    main()
