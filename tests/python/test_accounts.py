"""Traffic that is counted under a guest's name: what real frames come to, and what nft says of it."""

from __future__ import annotations

import socket

import oracle
import pytest
from xenvnet import Account, Antispoof, Attachment, Counter, Host, MacAddr, Operation

TABLE = "xenvnet_accounts"
WEB, DB = "00:16:3e:00:00:01", "00:16:3e:00:00:02"


def attachment(vif: str) -> Attachment:
    """The guest web, 10.0.0.2, or the guest db, 10.0.0.3."""
    name, mac, ip = {"vif1.0": ("web", WEB, "10.0.0.2"), "vif2.0": ("db", DB, "10.0.0.3")}[vif]
    return Attachment(vif, bridge="xenbr0", lock=Antispoof(mac, ips=ip), name=name, accounted=True)


@pytest.fixture
def guests(host: Host) -> Host:
    """A host with both guests, of whom nobody has spoken yet."""
    host.create_bridge("xenbr0")
    for vif in ("vif1.0", "vif2.0"):
        oracle.add_vif(vif)
        assert host.attach_vif(attachment(vif)) is True
        assert host.attach_vif(attachment(vif)) is False
    for name in ("web", "db"):
        oracle.await_carrier(name)
    return host


def send(*words: bytes) -> Counter:
    """The guest web sends these to the guest db, where they are waited for; what they are to count as."""
    frames = [oracle.ether(DB, WEB, oracle.datagram("10.0.0.2", "10.0.0.3", 9, each)) for each in words]
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800)) as ear:
        ear.bind(("guest2.0", 0x0800))
        ear.settimeout(20)
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as mouth:
            mouth.bind(("guest1.0", 0))
            for frame in frames:
                mouth.send(frame)
        while words[-1] not in ear.recv(2048):
            pass
    return Counter(len(frames), sum(len(frame) - 14 for frame in frames))


def told(name: str, side: str) -> Counter:
    """What nft says of it."""
    (counter,) = (each["elem"]["counter"] for each in oracle.elements("bridge", side, TABLE) if each["elem"]["val"] == name)
    return Counter(counter["packets"], counter["bytes"])


def test_what_a_guest_sends_is_counted(guests: Host) -> None:
    assert guests.snapshot().accounts["web"].sent == Counter(0, 0)
    sent = send(b"one" + bytes(40), b"two" + bytes(80), b"three")
    now = guests.snapshot()
    assert now.accounts["web"].sent == told("web", "sent") == sent
    # Dom0 may have said something besides.
    assert now.accounts["db"].received.packets >= 3 and now.accounts["db"].received.bytes >= sent.bytes
    assert (now.accounts["web"].index, now.accounts["db"].index) == (1, 2)
    assert not now.accounts["web"].routed
    assert "accounts" in now.tables
    assert guests.verify().is_sound


def test_it_stays_until_it_is_forgotten(guests: Host) -> None:
    sent = send(b"once")
    guests.detach_vif("web")
    assert guests.snapshot().accounts["web"].sent == sent
    assert guests.forget_account("web") is True
    assert guests.forget_account("web") is False
    assert guests.snapshot().accounts.keys() == {"db"}
    assert guests.undo() is True
    assert guests.snapshot().accounts["web"].sent == told("web", "sent") == sent
    guests.run_all([Operation.forget_account("web"), Operation.forget_account("db")])
    assert f"bridge {TABLE}" not in oracle.tables()


def test_what_others_deleted_is_found_and_mended(guests: Host) -> None:
    oracle.run("nft", "delete", "element", "bridge", TABLE, "sent", '{ "web" }')
    (finding,) = guests.repair().findings
    assert (finding.kind, finding.vif, finding.severity, finding.repairable) == ("not_accounted", "web", "fault", True)
    assert guests.verify().is_sound
    assert send(b"again") == guests.snapshot().accounts["web"].sent


def test_a_routed_guest_is_accounted(host: Host) -> None:
    oracle.add_vif("vif1.0")
    lock = Antispoof(WEB, ips="10.0.0.2")
    host.attach_vif(Attachment.routed("vif1.0", lock=lock, gateways="10.0.0.1", name="web", accounted=True))
    assert host.snapshot().accounts == {"web": Account(1, Counter(0, 0), Counter(0, 0), routed=True)}
    assert "routed_accounts" in host.snapshot().tables and f"inet {TABLE}" in oracle.tables()
    oracle.await_carrier("web")
    with oracle.listening("10.0.0.1") as (port, heard):
        packet = oracle.datagram("10.0.0.2", "10.0.0.1", port, b"heard")
        frame = oracle.ether(str(MacAddr.VIF_BACKEND), WEB, packet)
        assert oracle.sent_until("guest1.0", frame, heard) == {b"heard"}
    sent = host.snapshot().accounts["web"].sent
    assert sent.packets >= 1 and sent.bytes == sent.packets * (len(packet) - 2)
    host.forget_account("web")
    assert f"inet {TABLE}" not in oracle.tables()
