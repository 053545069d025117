"""What a snapshot, a report and a check are made of: facts that are read, never given."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Literal, Optional, Union

from ._errors import XenvnetError
from ._xenvnet import Antispoof, Dom0, Forward, Line, MacAddr, Masquerade, Network, check_macs


class Lock(enum.Enum):
    """How an interface is held that is not held to addresses; for those, give an Antispoof."""

    DISABLED = "disabled"
    """Nothing leaves."""
    UNLOCKED = "unlocked"
    """Everything leaves: for a guest that is trusted like dom0 itself."""

    def __repr__(self) -> str:
        return f"Lock.{self.name}"

    def __str__(self) -> str:
        return str(self.value)


class Uplink(enum.Enum):
    """What a network leads outside by where it is no interface; for one, give its name."""

    NOTHING = "nothing"
    """Nothing: a bridge between guests and dom0 alone."""

    def __repr__(self) -> str:
        return f"Uplink.{self.name}"

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True)
class BridgeState:
    """A bridge's own settings."""

    stp: bool
    """Whether it takes part in the spanning tree protocol."""
    forward_delay: int
    """How long a port listens before it forwards, in hundredths of a second."""


@dataclass(frozen=True)
class PortState:
    """The flags of a bridge port; see bridge(8)."""

    learning: bool
    """Whether the bridge learns the source addresses of its frames."""
    isolated: bool
    """Whether it cannot reach other isolated ports."""
    locked: Optional[bool]
    """Whether frames from addresses not pinned to it are dropped; None where the kernel has no such flag."""
    flood: bool = True
    """Whether it is sent unicast frames of which the bridge does not know where they belong."""
    bpdu_guard: bool = False
    """Whether a frame of the spanning tree protocol that comes in by it shuts it."""
    group_fwd_mask: int = 0
    """Of the groups reserved for bridges (01:80:c2:00:00:00 to 0f), those whose frames are treated like any other."""


@dataclass(frozen=True)
class Link:
    """One network interface."""

    index: int
    """The kernel's number for it, never given twice until it reboots."""
    name: str
    mac: Optional[MacAddr]
    """Its MAC address, if it is an Ethernet interface."""
    mtu: int
    up: bool
    """Whether it is administratively up."""
    group: int
    alias: str
    """Where a vif was renamed, the name that netback gave it. Empty for none."""
    master: Optional[str]
    """The bridge that it is a port of."""
    auto_link_local: Optional[bool]
    """Whether the kernel gives it an IPv6 link-local address; None where it has no IPv6."""
    bridge: Optional[BridgeState]
    """Its settings if it is a bridge."""
    port: Optional[PortState]
    """Its flags if it is a bridge's port."""
    shut: bool = False
    """Whether the guard of the spanning tree protocol shut this port."""


@dataclass(frozen=True)
class Guard:
    """A lock as it stands in the kernel."""

    device: int
    """The index of the interface that it was made for."""
    lock: Union[Antispoof, Lock]
    """What it is held to."""
    owner: Optional[str] = None
    """Whose it is: the name that netback gave the interface, whatever its name is now; None where it is not known."""


@dataclass(frozen=True)
class Drops:
    """Frames of one interface that were dropped for one reason, as one table counted them.

    A guest that has an emulated card too is held in two tables: add both up for its total.
    """

    vif: str
    """The interface that they came in by."""
    reason: Literal["mac", "arp", "ip4", "ip6", "dhcp", "nd", "ethertype", "unguarded", "dom0"]
    """unguarded: an interface of guests that is not locked under its name. dom0: to dom0 itself, which the
    network does not allow."""
    frames: int
    octets: int
    """Without the Ethernet header."""
    table: Literal["bridge", "netdev", "inet", "dom0", "untracked", "forwards", "accounts", "routed_accounts"] = "bridge"
    """Which of our own tables dropped them."""


@dataclass(frozen=True)
class Counter:
    """Packets, and what they held."""

    packets: int
    """How many. What a network card is left to cut or has joined (segmentation offload) is one packet."""
    bytes: int
    """Without the Ethernet header."""

    def __str__(self) -> str:
        return f"{self.packets} packets, {self.bytes} bytes"


@dataclass(frozen=True)
class Account:
    """What a guest sent and received, counted by the kernel under the name of its interface.

    It stays when the guest is detached or restarts, and goes on counting when an interface of that name
    comes again, until it is forgotten (Host.forget_account) or the host reboots.
    """

    index: int
    """Its number, from 1, which stays; 0 of an account that somebody else made."""
    sent: Counter
    """What came in from the guest and passed its lock."""
    received: Counter
    """What was handed to the guest's interface."""
    routed: bool = False
    """Whether dom0 routed to the guest when it was attached last: no frames are counted then, but IP packets."""


@dataclass(frozen=True)
class Untracked:
    """A bridged guest whose packets stay out of dom0's table of connections."""

    bridge: MacAddr
    """The address of its bridge; what is sent to that is tracked as ever."""
    macs: tuple[MacAddr, ...]
    """The addresses of the guest."""


@dataclass(frozen=True)
class NetworkRecord:
    """A network that runs, and what it found when it started."""

    network: Network
    """With everything named that its line left to the host."""
    before: dict[str, int] = field(hash=False)
    """What the settings that it changes were before the first network: {"net.ipv4.ip_forward": 0}."""


@dataclass(frozen=True, repr=False)
class Finding:
    """One thing that is not as it was asked for, or is good to know. ``str()`` gives its sentence.

    What it is about is in the attributes that the sentence speaks of; all others are None.
    """

    kind: str
    """Its name, the same in every language and in JSON: renamed, not_locked, table_missing and so on."""
    severity: Literal["note", "fault", "hole"]
    """note: as it should be. fault: a guest is cut off, or something is left over. hole: something could
    get through that should not."""
    sentence: str
    remedy: str
    """What is to be done about it, in one line."""
    repairable: bool
    """Whether Host.repair mends it."""
    vif: Optional[str] = None
    was: Optional[str] = None
    """The name under which its lock stands."""
    twin: Optional[str] = None
    """The other port of the same card."""
    bridge: Optional[str] = None
    port: Optional[str] = None
    interface: Optional[str] = None
    """A bridge or a routed vif that guests are behind."""
    asked: Union[Antispoof, Lock, PortState, Dom0, None] = None
    found: Union[PortState, str, None] = None
    """What it is instead; where it is no port of its bridge, the one that it is a port of, if any."""
    missing: Optional[int] = None
    """How many elements of the kernel's sets are not there."""
    surplus: Optional[int] = None
    """How many are there that should not be."""
    mac: Optional[MacAddr] = None
    group: Optional[int] = None
    masquerade: Optional[Masquerade] = None
    forward: Optional[Forward] = None
    network: Optional[Network] = None
    table: Optional[str] = None
    """One of our own, named as in Drops; where there is a family, the name of somebody else's."""
    defect: Optional[str] = None
    layout: Optional[int] = None
    family: Optional[str] = None
    chain: Optional[str] = None

    def __str__(self) -> str:
        return self.sentence

    def __repr__(self) -> str:
        values = [(each.name, getattr(self, each.name), each.default) for each in fields(self)]
        told = [f"{name}={value!r}" for name, value, default in values if default is MISSING or value != default]
        return f"Finding({', '.join(told)})"


@dataclass(frozen=True)
class MacPlace:
    """Where a guest's configuration gives a vif its MAC address. ``str()`` says it in words."""

    mac: MacAddr
    source: str
    """The file, as it was called."""
    vif: int
    """The vif's place in the file's list."""
    offset: int
    """The byte of the file, counted from 0."""
    line: int
    """The line of the file, counted from 1."""

    def __str__(self) -> str:
        return f"{self.source}, byte {self.offset}, line {self.line}"


@dataclass(frozen=True)
class MacFinding:
    """What is wrong with the MAC addresses of guests: a fault, which has a source and an error, or an
    address that more than one vif has, which has places. ``str()`` gives its sentence."""

    sentence: str
    source: Optional[str] = None
    """The file that cannot be read, or has an address that cannot be, as it was called."""
    error: Optional[XenvnetError] = field(default=None, compare=False, repr=False)
    """What is wrong there, with the byte of the file as its offset."""
    places: tuple[MacPlace, ...] = ()
    """The vifs that have the same address, two at least, in the order of the files."""

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True)
class MacCheck:
    """The MAC addresses in guests' configuration files, and what is wrong with them.

    >>> from xenvnet import MacCheck
    >>> vif = "vif = [ 'mac=00:16:3e:00:00:01' ]"
    >>> print(*MacCheck.of({"web.cfg": vif, "db.cfg": vif}).findings)
    00:16:3e:00:00:01 is given to 2 vifs of more than one guest: web.cfg, byte 13, line 1; db.cfg, byte 13, line 1
    """

    macs: tuple[MacPlace, ...]
    """Every address that can be read, in the order of the files."""
    findings: tuple[MacFinding, ...]
    """Faults in the order of the files, then addresses that are given twice. Empty where all is well."""

    @classmethod
    def of(cls, files: Union[Mapping[str, str], Iterable[tuple[str, str]]]) -> MacCheck:
        """Reads the texts of these files, each with what it is to be called. What else is wrong in a vif's
        string is no matter here; a vif without an address is given one by its toolstack."""
        return check_macs(list(files.items() if isinstance(files, Mapping) else files))


def line_of(file: Any, place: tuple[str, Optional[int]]) -> Line:
    """The line at this place of a file, for pickle and copy."""
    attribute, index = place
    found: Any = getattr(file, attribute)
    line: Line = found if index is None else found[index]
    return line
