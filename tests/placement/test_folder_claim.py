"""Who may write: the lease on a state folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from edgeagents.errors import ConfigError
from edgeagents.placement import FolderClaim, members


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


def test_a_claim_that_cannot_be_written_down_is_none(tmp_path, monkeypatch):
    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            FolderClaim(tmp_path).take_whole()
    lease = FolderClaim(tmp_path)
    lease.take_whole()
    lease.release()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
def test_a_child_of_a_killed_server_does_not_have_its_claim(tmp_path):
    with left_alone(f"from edgeagents.placement import FolderClaim; FolderClaim(Path({str(tmp_path)!r})).take_whole()"):
        lease = FolderClaim(tmp_path)
        assert lease.take_whole() == 2
        lease.release()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
def test_a_member_whose_child_outlives_it_is_dead(tmp_path):
    with left_alone(
        "from edgeagents.placement.members import Member\n"
        f"member = Member(Path({str(tmp_path)!r}), 1, '/nowhere.sock', 0.0)"
    ):
        peer = members.find(tmp_path, 1)
        assert peer is not None
        assert peer.standing == "dead"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
def test_a_child_that_lets_go_of_a_claim_closes_nothing_of_its_own(tmp_path):
    code = (
        "import os, sys, pathlib; from edgeagents.placement import FolderClaim\n"
        "claim = FolderClaim(pathlib.Path(sys.argv[1])); claim.take_whole(); child = os.fork()\n"
        "if child == 0:\n"
        "    own = os.open(os.devnull, os.O_RDONLY); claim.release(); os._exit(0 if os.fstat(own) else 1)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "try: FolderClaim(pathlib.Path(sys.argv[1])).take_whole()\n"
        "except Exception as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "already uses the state folder" in done.stdout


@contextmanager
def left_alone(code: str) -> Generator[None]:
    """Run ``code`` in a process that ends at once, while a child that it has forked lives until the block's end."""
    forking = (
        f"import os, sys; from pathlib import Path\n{code}\n"
        "reading, writing = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.write(writing, b'x'); sys.stdin.read(); os._exit(0)\n"
        "os.read(reading, 1); os._exit(9)"
    )
    with subprocess.Popen([sys.executable, "-c", forking], stdin=subprocess.PIPE) as server:
        assert server.wait() == 9
        yield
