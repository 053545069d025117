"""Changes that are put back unless they are confirmed, by a sentinel in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import oracle
import pytest
from xenvnet import BusyError, Host, InvalidArgumentError, Operation, Plan, StateError

CREATE = Operation.create_bridge("xenbr0")
MINUTE = timedelta(minutes=1)

GUARD = """
import sys
from xenvnet import Host, Plan
with Host(state_dir=sys.argv[1]) as host, host.sentinel() as sentinel:
    print("on the watch", flush=True)
    for line in sys.stdin:
        seen = sentinel.look()
        print(seen.to_json() if isinstance(seen, Plan) else seen, flush=True)
"""


@contextmanager
def guard(state: Path) -> Iterator[Callable[[], str]]:
    """Another process on the watch; it looks when it is asked to, and says what it sees."""
    command = [sys.executable, "-c", GUARD, str(state)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None and other.stdout is not None
        stdin, stdout = other.stdin, other.stdout
        assert stdout.readline() == "on the watch\n"

        def look() -> str:
            print(file=stdin, flush=True)
            return stdout.readline().rstrip("\n")

        yield look
        stdin.close()
    assert other.returncode == 0


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_what_is_confirmed_stays(host: Host, state: Path) -> None:
    with guard(state) as look:
        assert look() == "None"
        assert host.confirm() is False
        assert host.run_provisionally(CREATE, within=MINUTE) is True
        assert look().startswith("0:00:")
        assert host.confirm() is True
        assert host.confirm() is False
        assert look() == "None"
    assert oracle.link("xenbr0") is not None


def test_what_nobody_confirms_is_put_back(host: Host, state: Path) -> None:
    before = oracle.host_state()
    with guard(state) as look:
        assert host.run_provisionally([CREATE, Operation.masquerade_subnet("10.0.0.0/8")], within=0.25) is True
        assert oracle.link("xenbr0") is not None
        while not (seen := look()).startswith("["):
            assert seen.startswith("0:00:00")
        assert "- bridge xenbr0" in Plan.from_json(seen).steps
        assert oracle.host_state() == before
        assert host.confirm() is False, "it is too late"
        assert look() == "None"


def test_what_is_so_already_wants_no_confirmation(host: Host, state: Path) -> None:
    host.run(CREATE)
    with guard(state) as look:
        assert host.run_provisionally(CREATE, within=MINUTE) is False
        assert look() == "None"
        assert host.confirm() is False


def test_nothing_is_changed_where_nobody_watches(host: Host) -> None:
    before = oracle.host_state()
    with pytest.raises(StateError, match="cannot create bridge xenbr0: nobody would put it back") as caught:
        host.run_provisionally([CREATE], within=MINUTE)
    assert caught.value.advice is not None
    assert oracle.host_state() == before


def test_one_is_on_the_watch_at_a_time(host: Host, state: Path) -> None:
    with guard(state):
        with pytest.raises(BusyError, match="another guard is on the watch"):
            host.sentinel()
    with host.sentinel() as sentinel:
        assert sentinel.look() is None
        with pytest.raises(BusyError):
            host.sentinel()
    host.sentinel().close()


def test_a_sentinel_in_this_process(host: Host) -> None:
    before = oracle.host_state()
    with host.sentinel() as sentinel:
        host.run_provisionally(CREATE, within=MINUTE)
        left = sentinel.look()
        assert isinstance(left, timedelta) and timedelta() < left <= MINUTE
        host.confirm()
        host.delete_bridge("xenbr0")
        host.run_provisionally(CREATE, within=timedelta())
        host.close()
        # It works on without its host.
        plan = sentinel.look()
        assert isinstance(plan, Plan) and "- bridge xenbr0" in plan.steps
        assert oracle.host_state() == before
    assert sentinel.closed
    sentinel.close()
    for call in (sentinel.look, sentinel.__enter__):
        with pytest.raises(ValueError, match="closed"):
            call()
    with pytest.raises(ValueError, match="closed"):
        host.sentinel()


def test_a_sentinel_stays_while_something_waits(host: Host) -> None:
    sentinel = host.sentinel()
    host.run_provisionally(CREATE, within=MINUTE)
    assert sentinel.leave() is False
    assert not sentinel.closed and isinstance(sentinel.look(), timedelta)
    with pytest.raises(BusyError):
        host.sentinel()
    host.confirm()
    assert sentinel.leave() is True
    assert sentinel.closed and sentinel.leave() is True
    host.sentinel().close()
    with pytest.raises(ValueError, match="closed"):
        sentinel.look()


def test_a_block_is_left_when_nothing_waits(host: Host) -> None:
    before = oracle.host_state()
    with host.sentinel() as sentinel:
        host.run_provisionally(CREATE, within=0.25)
    assert sentinel.closed and oracle.host_state() == before, "it stayed until it had put that back"
    assert host.confirm() is False

    with pytest.raises(KeyError), host.sentinel() as sentinel:
        host.run_provisionally(CREATE, within=0.25)
        raise KeyError
    assert sentinel.closed and oracle.host_state() == before

    with host.sentinel() as sentinel:
        host.run_provisionally(CREATE, within=MINUTE)
        sentinel.close()
    assert oracle.link("xenbr0") is not None, "whoever closes it does not wait"
    assert host.confirm() is True


def test_others_may_confirm_while_it_stays(host: Host, state: Path) -> None:
    with ThreadPoolExecutor() as threads, Host(state_dir=state) as other:
        with host.sentinel():
            host.run_provisionally(CREATE, within=MINUTE)
            done = threads.submit(other.confirm)
        assert done.result() is True
    assert oracle.link("xenbr0") is not None


IMPATIENT = """
import signal, sys
from xenvnet import Host, Operation
signal.signal(signal.SIGALRM, signal.default_int_handler)
with Host(state_dir=sys.argv[1]) as host:
    sentinel = host.sentinel()
    host.run_provisionally(Operation.create_bridge("xenbr0"), within=3600)
    try:
        with sentinel:
            # Again and again: the first may come before it waits.
            signal.setitimer(signal.ITIMER_REAL, 0.1, 1)
    except KeyboardInterrupt:
        signal.setitimer(signal.ITIMER_REAL, 0)
        print("interrupted", sentinel.closed)
"""


def test_who_waits_can_be_interrupted(host: Host, state: Path) -> None:
    assert oracle.run(sys.executable, "-c", IMPATIENT, str(state)) == "interrupted False\n"


@pytest.mark.parametrize("within", [-1, float("nan"), float("inf"), 1e30, timedelta(seconds=-1)])
def test_a_time_that_never_comes(host: Host, within: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=" s: "):
        host.run_provisionally(CREATE, within=within)


@pytest.mark.parametrize("within", [None, "30", [30]])
def test_no_time_at_all(host: Host, within: Any) -> None:
    with pytest.raises(TypeError, match="a time"):
        host.run_provisionally(CREATE, within=within)
