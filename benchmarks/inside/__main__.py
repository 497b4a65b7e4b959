"""``python -m benchmarks.inside calls [--quick]``: one of these measures, in a process of its own. Prints JSON."""

from __future__ import annotations

import argparse
import json

from benchmarks.inside.measures import INSIDE
from benchmarks.scale import FULL, QUICK

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inside", description=__doc__)
    parser.add_argument("name", choices=INSIDE)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    print(json.dumps(INSIDE[options.name].run(QUICK if options.quick else FULL)))
