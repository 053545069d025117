"""Every public item of core is in Python, or stands here with what it is there instead."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import xenvnet

SOURCE = Path(__file__).parents[2] / "xenvnet-core" / "src"

ELSEWHERE = {
    "Contents": "Snapshot has its parts as attributes",
    "Service": "a word of Dom0: Dom0('services(dns)')",
    "DropReason": "a word, Drops.reason",
    "DhcpGuest": "for the command, which starts a server; the library starts no process",
    "DhcpService": "as DhcpGuest",
    "DhcpSilence": "as DhcpGuest",
    "Entry": "the kernel's own attributes, for plans alone: Plan.to_json",
    "EntryKind": "as Entry",
    "Error": "XenvnetError",
    "ErrorKind": "the classes of XenvnetError",
    "Result": "Python raises",
    "Dom0Port": "a text, Forward.port",
    "Protocol": "a part of Forward.port",
    "HostOptions": "keywords of Host",
    "Unconfirmed": "what Sentinel.look gives: None, a timedelta or a Plan",
    "IfName": "interfaces go by their names, as str",
    "ipnetwork": "ipaddress",
    "Pinning": "for plans alone: Plan.to_json",
    "MacPrefix": "prefix= of MacAddr.from_ip, as a text",
    "NetworkId": "a text, Network.id",
    "LinkSettings": "for plans alone: Plan.to_json",
    "Outcome": "bool: whether anything was changed",
    "Step": "for plans alone: Plan.to_json",
    "LinkSysctl": "a text: the kernel's name of the setting",
    "Sysctl": "a text: the kernel's name of the setting",
    "Table": "a word, Drops.table",
    "parse_ip": "ipaddress.ip_address; texts are read wherever an address is wanted",
    "parse_ip_network": "ipaddress.ip_network, likewise",
    "parse_socket": "to= of Forward, as a text",
    "Severity": "a word, Finding.severity",
    "Card": "a word, VifSpec.card",
    "Port": "Attachment(bridge=...) or Attachment.routed",
    "Presence": "every attachment is announced: this version knows no other",
    "Strictness": "lenient=True",
    "transport": "the seam of core's own tests",
}

# What a class has not, and every class has otherwise.
EVERYWHERE = {"new": "the constructor", "validate": "the constructor, or the call that is given it, raises"}

MEMBERS_ELSEWHERE = {
    "Antispoof.ip": "ips=",
    "Antispoof.mac": "macs=",
    "Lock.is_guarded": "it is not Lock.UNLOCKED",
    "Lock.macs": "Antispoof.macs",
    "Bridge.address": "addresses=",
    "Brouter.dhcp": "Network.parse('network-virtual dhcp=yes')",
    "NatNetwork.dhcp": "Network.parse('network-nat dhcp=yes')",
    "Network.ids": "Network.id",
    "Network.serves_dhcp": "dhcp=yes in str(network)",
    "Host.state_folder": "for programs that keep files of a host's, as the command does for DHCP",
    "Host.open": "Host()",
    "Host.options": "keywords of Host",
    "Line.locate": "errors of a Line tell the file's byte",
    "Line.parse": "whatever reads texts reads a Line",
    "Link.is_bridge": "Link.bridge is not None",
    "Link.is_vif": "Link.group is VIF_GROUP",
    "MacAddr.octets": "bytes()",
    "NatNetwork.subnet": "subnets=",
    "Operation.VERBS": "the methods of Operation",
    "Plan.is_empty": "its truth: not plan",
    "Snapshot.link": "Snapshot.links[name]",
    "Snapshot.pinned": "Snapshot.to_json",
    "Finding.KINDS": "the words of Finding.kind",
    "Finding.is_repairable": "Finding.repairable",
    "Attachment.bridged": "Attachment()",
    "Attachment.from_json": "Operation.from_json, of attach_vif",
    "Attachment.gateway": "gateways=",
    "Attachment.presence": "as Presence",
    "Attachment.rename": "name=",
    "Attachment.route": "routes=",
    "Attachment.to": "Attachment.bridge, None for a routed one",
}


def items() -> list[str]:
    """What lib.rs makes public."""
    text = (SOURCE / "lib.rs").read_text(encoding="utf-8")
    lists = re.findall(r"^pub use (?:\w+::)*(?:\{([^}]*)\}|(\w+));", text, re.MULTILINE)
    names = [name for many, one in lists for name in re.findall(r"\w+", many or one)]
    return names + re.findall(r"^pub (?:fn|struct|enum|const|trait|type|mod) (\w+)", text, re.MULTILINE)


def members() -> set[tuple[str, str]]:
    """The public methods, constants and fields of the types that are classes in Python."""
    block = r"^(?:impl(?:<[^>\n]*>)?|pub struct) (\w+)(?:<[^{\n]*>)? \{\n(.*?)^\}"
    member = r"^    pub (?:(?:const )?fn (\w+)|const (\w+):|(\w+):)"
    found = set()
    for file in SOURCE.rglob("*.rs"):
        text = file.read_text(encoding="utf-8").split("#[cfg(test)]\nmod ")[0]
        for name, body in re.findall(block, text, re.MULTILINE | re.DOTALL):
            if name in ITEMS and name not in ELSEWHERE:
                found |= {(name, "".join(word)) for word in re.findall(member, body, re.MULTILINE)}
    return found


def words(of: Any) -> set[str]:
    """The attributes of a class, and the keywords that it and its methods take."""
    found = set(dir(of))
    for each in (of, *(getattr(of, name) for name in dir(of) if not name.startswith("_"))):
        if callable(each):
            try:
                found |= set(inspect.signature(each).parameters)
            except ValueError:
                pass  # Without a constructor there is no signature.
    return found


ITEMS = items()


def test_the_walk_finds_what_there_is() -> None:
    assert len(ITEMS) == len(set(ITEMS)) >= 75
    assert {"Host", "Antispoof", "VIF_GROUP", "nat_gateway", "XendConfig", "transport"} <= set(ITEMS)
    found = members()
    assert {("Rate", "from_netback"), ("Line", "offset"), ("Host", "confirm"), ("VifId", "MAX_DOMID")} <= found
    assert len(found) >= 200


@pytest.mark.parametrize("name", ITEMS)
def test_an_item_is_there_or_stands_here(name: str) -> None:
    assert hasattr(xenvnet, name) != (name in ELSEWHERE)


def test_a_member_is_there_or_stands_here() -> None:
    found = [(name, member) for name, member in members() if member not in EVERYWHERE]
    missing = {f"{name}.{member}" for name, member in found if member not in words(getattr(xenvnet, name))}
    assert missing == set(MEMBERS_ELSEWHERE)


def test_nothing_stands_here_that_is_gone() -> None:
    assert set(ELSEWHERE) <= set(ITEMS)
    assert all([*ELSEWHERE.values(), *MEMBERS_ELSEWHERE.values()])
