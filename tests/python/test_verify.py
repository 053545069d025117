"""What others change behind our back is found, named and mended."""

from __future__ import annotations

from pathlib import Path

import oracle
import pytest
from xenvnet import Antispoof, Attachment, Bridge, Dom0, Host

MAC = "00:16:3e:00:00:01"
LOCK = Antispoof(MAC, ips="10.0.0.2")


@pytest.fixture
def house(host: Host) -> Host:
    """A host with one bridged guest."""
    host.create_bridge("xenbr0")
    oracle.add_vif("vif1.0")
    host.attach_vif(Attachment("vif1.0", bridge="xenbr0", lock=LOCK))
    return host


def ruleset() -> str:
    return oracle.run("nft", "-s", "list", "ruleset")


def test_what_is_as_it_was_asked_for_is_sound(house: Host) -> None:
    before = oracle.host_state()
    report = house.verify()
    assert (report.findings, report.is_sound, report.worst) == ((), True, None)
    assert not report.repair
    assert house.repair() == report
    assert oracle.host_state() == before


def test_a_flush_is_found_and_mended(house: Host) -> None:
    house.set_dom0("xenbr0", "closed")
    before = ruleset()
    oracle.run("nft", "flush", "ruleset")
    report = house.verify()
    assert ruleset() == "", "verify changes nothing"
    assert {finding.kind for finding in report.findings} == {"table_missing", "not_locked", "dom0_differs"}
    assert (report.is_sound, report.worst) == (False, "hole")
    assert all(finding.repairable and finding.severity == "hole" for finding in report.findings)
    (lock,) = (finding for finding in report.findings if finding.kind == "not_locked")
    assert (lock.vif, lock.table, lock.asked) == ("vif1.0", "bridge", LOCK)
    (dom0,) = (finding for finding in report.findings if finding.kind == "dom0_differs")
    assert (dom0.interface, dom0.asked, dom0.surplus) == ("xenbr0", Dom0.CLOSED, 0)
    assert dom0.missing
    assert report.repair
    assert house.repair() == report
    assert ruleset() == before
    assert house.verify().findings == ()


def test_a_rename_is_found_and_mended(house: Host) -> None:
    for words in ("down", "name web", "up"):
        oracle.run("ip", "link", "set", "web" if words == "up" else "vif1.0", *words.split())
    (finding,) = house.verify().findings
    assert (finding.kind, finding.severity, finding.vif, finding.was) == ("renamed", "fault", "web", "vif1.0")
    foreign = oracle.ether("ff:ff:ff:ff:ff:ff", MAC, b"\x08\x00" + bytes(46))
    (drop,) = oracle.sent_until("guest1.0", foreign, lambda: house.snapshot().drops)
    assert (drop.vif, drop.reason) == ("web", "unguarded"), "it is held back until its lock follows it"
    assert house.repair().findings == (finding,)
    assert house.verify().findings == ()
    assert house.snapshot().guards.keys() == {"web"}


def test_without_a_memory_the_locks_own_words_count(house: Host, tmp_path: Path) -> None:
    oracle.run("bridge", "link", "set", "dev", "vif1.0", "learning", "on")
    with Host(state_dir=tmp_path / "other") as stranger:
        (finding,) = stranger.verify().findings
        assert (finding.kind, finding.vif) == ("port_flags", "vif1.0")
        assert str(finding).startswith("vif1.0: bridge port flags are learning on")
        stranger.repair()
    assert house.verify().findings == ()


def test_what_cannot_be_mended_is_said_with_its_remedy(house: Host) -> None:
    oracle.add_vif("vif2.0")
    oracle.run("ip", "link", "set", "vif2.0", "master", "xenbr0")
    (finding,) = house.repair().findings
    assert (finding.kind, finding.port, finding.bridge) == ("unknown_port", "vif2.0", "xenbr0")
    assert not finding.repairable and "ip link set vif2.0 down" in finding.remedy
    assert house.verify().findings == (finding,)


def test_a_port_that_the_spanning_tree_guard_shut_is_opened(host: Host) -> None:
    host.create_bridge(Bridge("xenbr0", stp=True))
    oracle.add_vif("vif1.0")
    host.attach_vif(Attachment("vif1.0", bridge="xenbr0", lock=LOCK))
    port = host.snapshot().links["vif1.0"].port
    assert port is not None and port.bpdu_guard and not port.flood
    oracle.await_carrier("vif1.0")
    # A configuration message of IEEE 802.1D, in LLC.
    bpdu = b"\x42\x42\x03" + bytes(35)
    frame = oracle.ether("01:80:c2:00:00:00", MAC, len(bpdu).to_bytes(2, "big") + bpdu)
    oracle.sent_until("guest1.0", frame, lambda: host.snapshot().links["vif1.0"].shut)
    (finding,) = host.repair().findings
    assert (finding.kind, finding.vif, finding.bridge) == ("port_shut", "vif1.0", "xenbr0")
    assert not host.snapshot().links["vif1.0"].shut
