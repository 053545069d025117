"""What a snapshot is made of: facts that are read, never given."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Optional, Union

from ._xenvnet import Antispoof, MacAddr, Network


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
    """Frames of one guest that its lock dropped for one reason."""

    vif: str
    """The interface that they came in by."""
    reason: str
    """mac, arp, ip4, ip6, dhcp, nd or ethertype."""
    frames: int
    octets: int
    """Without the Ethernet header."""


@dataclass(frozen=True)
class NetworkRecord:
    """A network that runs, and what it found when it started."""

    network: Network
    sysctl_before: int
    """What the forwarding setting of its address family was before the first network."""
