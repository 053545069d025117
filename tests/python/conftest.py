from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import oracle
import pytest
import xenvnet


def _why_no_kernel() -> str | None:
    missing = [program for program in ("ip", "nft") if shutil.which(program) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    try:
        if os.geteuid() != 0:
            oracle.become_root()
        with oracle.new_netns():
            pass
    except OSError as error:
        return f"no network namespace: {error}"
    return None


@pytest.fixture(scope="session")
def kernel() -> None:
    """Skips where the kernel cannot be tested, or fails where it must be."""
    why = _why_no_kernel()
    if why is None:
        return
    if os.environ.get("XENVNET_REQUIRE_KERNEL") == "1":
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture
def netns(kernel: None) -> Iterator[None]:
    """An empty network namespace for one test."""
    with oracle.new_netns():
        yield


@pytest.fixture
def host(netns: None, tmp_path: Path) -> Iterator[xenvnet.Host]:
    with xenvnet.Host(state_dir=tmp_path / "state") as host:
        yield host
