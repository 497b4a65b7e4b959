"""Who may write: the lease on a state folder."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from edgeagents.errors import ConfigError
from edgeagents.placement import FolderClaim


def test_a_second_claim_names_the_process_that_has_the_folder(tmp_path):
    first = FolderClaim(tmp_path)
    first.take_whole()
    with pytest.raises(ConfigError, match=rf"\(pid {os.getpid()}\) already uses the state folder"):
        FolderClaim(tmp_path).take_whole()
    first.release()


def test_the_token_grows_with_each_owner(tmp_path):
    tokens = []
    for _ in range(3):
        lease = FolderClaim(tmp_path)
        tokens.append(lease.take_whole())
        lease.release()
    assert tokens == [1, 2, 3]


def test_the_claim_ends_with_its_process(tmp_path):
    code = (
        "import os, sys, pathlib; from edgeagents.placement import FolderClaim;"
        "FolderClaim(pathlib.Path(sys.argv[1])).take_whole(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    lease = FolderClaim(tmp_path)
    assert lease.take_whole() == 2
    lease.release()


def test_the_folder_is_the_owners_alone(tmp_path):
    folder = tmp_path / "state"
    lease = FolderClaim(folder)
    lease.take_whole()
    assert (folder.stat().st_mode & 0o777, (folder / "owner.lock").stat().st_mode & 0o777) == (0o700, 0o600)
    lease.release()
