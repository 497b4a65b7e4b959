"""Runs the ``test`` handler of workers in a process of its own, as ``workerd test`` does.

``python inside.py FOLDER...``: the worker of the first folder has the handler, the others are its neighbours.
``--internet=NAME`` is the one that answers the first one's ``fetch``, in place of the network.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from edgeagents_emulator.options import Options
from edgeagents_emulator.project import load_project

from edgeagents.neighbours import Neighbours
from edgeagents.plugins import load_plugins, unique
from edgeagents.runtime import Runtime
from wrangler_compat import bindings
from wrangler_compat.host.rpc_service import Fetcher

BUNDLE = "/session/metadata"
_chdir = os.chdir


def in_bundle(path: str) -> None:
    """Go to where workerd has a worker's files: here they are where they were written."""
    _chdir(str(path).replace(BUNDLE, str(HERE)))


async def run(folders: list[str], internet: str | None) -> None:
    """Run it. Raises what the handler raises."""
    hook = load_plugins([bindings]).hook
    kinds = unique(hook.register_bindings(runtime=Runtime(storage=None)), "kind", "binding type")
    # The first one is loaded as if it were alone: its own tests import it, which pytest does for them.
    beside: list[list[str] | None] = [None, *([] for _ in folders[1:])]
    projects = [
        load_project(Options(directory=folder), {}, kinds, beside=names)
        for folder, names in zip(folders, beside, strict=True)
    ]
    neighbours = Neighbours()
    runtimes = [
        Runtime(project.worker, plugins=[bindings], storage=None, durability="memory", neighbours=neighbours)
        for project in projects
    ]
    for runtime in reversed(runtimes):
        await runtime.start()
    try:
        if internet is not None:
            projects[0].code.context.outbound = Fetcher(neighbours.service(internet, None, None))
        await runtimes[0].run_handler("test")
    finally:
        for runtime in runtimes:
            await runtime.stop()


if __name__ == "__main__":
    arguments = sys.argv[1:]
    network = arguments.pop().partition("=")[2] if arguments[-1].startswith("--internet=") else None
    HERE = Path(arguments[0]).resolve()
    os.chdir = in_bundle  # type: ignore[assignment]
    asyncio.run(run(arguments, network))
