"""What a host is like over reboots and flushes, what dead guests left, and being told of changes."""

from __future__ import annotations

import selectors
import threading
from datetime import timedelta
from pathlib import Path

import oracle
import pytest
from xenvnet import Attachment, Antispoof, Bridge, Host, NotFoundError, ParseError, Snapshot, UnsupportedError

LINE = "network-virtual bridgeip=10.98.98.1/24"


def ruleset() -> str:
    return oracle.run("nft", "-s", "list", "ruleset")


def test_what_was_saved_is_there_again(host: Host, tmp_path: Path) -> None:
    file = tmp_path / "kept" / "saved.json"
    with pytest.raises(NotFoundError, match="there is no such file"):
        host.restore(file)
    host.start_network(LINE)
    host.create_bridge(Bridge("xenbr1", addresses="10.7.0.1/24"))
    saved = host.save(file)
    assert [str(operation) for operation in saved] == ["create bridge xenbr1", "start the network of xenbr0"]
    assert saved == host.snapshot().operations()
    assert host.restore(file) is False
    before = ruleset()
    oracle.run("nft", "flush", "ruleset")
    assert host.plan_restore(str(file)) and ruleset() == ""
    assert host.restore(file, within=timedelta(seconds=1)) is True
    assert ruleset() == before
    host.stop_network(LINE)
    assert host.restore(file, within=0.5) is True
    assert not host.plan_restore(file)
    text = file.read_text(encoding="utf-8")
    for broken, error in ((text[:40], ParseError), (text.replace('"version": 1', '"version": 9'), UnsupportedError)):
        file.write_text(broken, encoding="utf-8")
        with pytest.raises(error):
            host.restore(file)
    assert host.run_all(saved) is False


def test_a_snapshot_that_was_read_tells_networks(host: Host) -> None:
    host.start_network(LINE)
    snapshot = Snapshot.from_json(host.snapshot().to_json())
    assert [str(operation) for operation in snapshot.operations()] == ["start the network of xenbr0"]
    assert Snapshot().operations() == []


def test_dead_guests_leave_nothing(host: Host) -> None:
    host.create_bridge("xenbr0")
    oracle.add_vif("vif1.0")
    host.attach_vif(Attachment("vif1.0", bridge="xenbr0", lock=Antispoof("00:16:3e:00:00:01", ips="10.0.0.2")))
    assert host.gc().findings == ()
    oracle.run("ip", "link", "delete", "vif1.0")
    left = host.verify().leftovers()
    assert [finding.kind for finding in left.findings] == ["leftover"]
    assert str(left.repair).strip() == "- table bridge xenvnet: what is left of vif1.0"
    assert host.gc() == left
    assert "vif1.0" not in ruleset()
    assert host.gc().findings == ()


def test_a_change_is_told_of(host: Host) -> None:
    with host.watch() as watch, selectors.DefaultSelector() as selector:
        selector.register(watch, selectors.EVENT_READ)
        assert watch.wait(0) is False and not selector.select(0)
        host.create_bridge("xenbr0")
        assert selector.select(60)
        assert watch.wait(0) is True
        while watch.wait(timedelta(milliseconds=50)):
            pass
        # The interpreter is free meanwhile, and so is the host.
        thread = threading.Thread(target=oracle.run, args=("nft", "add", "table", "ip", "others"))
        thread.start()
        assert watch.wait(60) is True
        thread.join()
        host.close()
        assert not watch.closed
    assert watch.closed and repr(watch) == "<xenvnet.Watch, closed>"
    for call in (watch.fileno, watch.__enter__, lambda: watch.wait(0)):
        with pytest.raises(ValueError, match="the Watch is closed"):
            call()
