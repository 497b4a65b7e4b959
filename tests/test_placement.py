"""Who may write: the lease on a state folder."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from edgeagents.errors import ConfigError
from edgeagents.placement.lease import FolderLease


def test_a_second_claim_names_the_process_that_has_the_folder(tmp_path):
    first = FolderLease(tmp_path)
    first.claim()
    with pytest.raises(ConfigError, match=rf"\(pid {os.getpid()}\) already uses the state folder"):
        FolderLease(tmp_path).claim()
    first.release()


def test_the_token_grows_with_each_owner(tmp_path):
    tokens = []
    for _ in range(3):
        lease = FolderLease(tmp_path)
        tokens.append(lease.claim().token)
        lease.release()
    assert tokens == [1, 2, 3]


def test_the_claim_ends_with_its_process(tmp_path):
    code = (
        "import os, sys, pathlib; from edgeagents.placement.lease import FolderLease;"
        "FolderLease(pathlib.Path(sys.argv[1])).claim(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    lease = FolderLease(tmp_path)
    assert lease.claim().token == 2
    lease.release()


def test_the_folder_is_the_owners_alone(tmp_path):
    folder = tmp_path / "state"
    lease = FolderLease(folder)
    lease.claim()
    assert (folder.stat().st_mode & 0o777, (folder / "owner.lock").stat().st_mode & 0o777) == (0o700, 0o600)
    lease.release()
