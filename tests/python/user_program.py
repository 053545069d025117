"""A program as a user would write it: checked by mypy --strict, run by test_kernel.py."""

from __future__ import annotations

import ipaddress
import sys
from datetime import timedelta
from typing import Optional, Union

from xenvnet import (
    Antispoof,
    Attachment,
    Bridge,
    BridgedNetwork,
    Brouter,
    Dom0,
    Forward,
    GuestFile,
    Host,
    Line,
    Lock,
    MacAddr,
    MacCheck,
    Masquerade,
    Network,
    Operation,
    Plan,
    Report,
    Uplink,
    VifDefaults,
    VifId,
    VifScript,
    VifSpec,
    XendConfig,
    XenvnetError,
    nat_gateway,
)

GUESTS = {VifId(1, devid=0): "10.98.98.2", VifId(2, devid=0): "10.98.98.3"}
ROUTED = VifId(3, devid=0)
XEND = "(network-script 'network-bridge netdev=eth0')(vif-script vif-bridge)"
FILES = {"web.cfg": "name = 'web'\nvif = [ 'mac=00:16:3e:00:00:01,ip=10.98.98.9,rate=10Mb/s' ]"}


def lock_of(ip: str) -> Antispoof:
    return Antispoof(MacAddr.from_ip(ip), ips=[ip, ipaddress.ip_network("2001:db8:8::/64")], dhcp_client=False)


def asked_for(vif: VifId) -> Attachment:
    """What a guest's file and xend's ask for."""
    script: Optional[Line] = XendConfig.parse(XEND).vif_script
    defaults = VifDefaults(script=VifScript.parse(script) if script else None, bridge="xenbr0")
    for finding in MacCheck.of(FILES).findings:
        print(finding, *(place.line for place in finding.places))
    spec, warnings = VifSpec.from_xl(GuestFile.parse(FILES["web.cfg"]).vifs[0], lenient=True)
    for warning in warnings:
        print(warning.offset, warning.advice)
    rate = spec.rate
    print(vif, "from", *spec.ips, "by", nat_gateway(vif.nat_address.ip), rate.to_xl() if rate else "at any rate")
    return spec.attachment(vif, defaults=defaults)


def main(state_dir: str) -> int:
    network = Brouter("xenbr0", address="10.98.98.1/24", dom0=Dom0(["dns", "icmp"]))
    with Host(state_dir=state_dir) as host:
        plan: Plan = host.plan([Operation.start_network(network)])
        for step in plan:
            print(step)
        started: bool = host.apply(plan)
        host.attach_vifs(Attachment(vif, bridge=network.bridge, lock=lock_of(ip), accounted=True) for vif, ip in GUESTS.items())
        host.create_bridge(Bridge("xenbr1", addresses=ipaddress.ip_interface("10.99.0.1/24")))
        host.masquerade_subnet(Masquerade("10.99.0.0/24", uplink="eth0"))
        host.attach_vif(
            Attachment.routed(
                ROUTED, lock=lock_of("10.97.0.2"), gateways=ipaddress.ip_address("10.97.0.1"), dom0=Dom0.CLOSED
            )
        )
        host.set_dom0("xenbr1", "services(dhcp,tcp:8080)")
        host.forward_port(Forward("tcp:8080", to=(ipaddress.ip_address("10.98.98.2"), 80)))
        for forward in host.snapshot().forwards:
            ip, port = forward.to
            print(forward.port, ip, port, forward.behind)

        inner: Network = BridgedNetwork(Uplink.NOTHING, bridge="xenbr2")
        with host.sentinel() as sentinel:
            host.run_provisionally([Operation.start_network(inner)], within=timedelta(minutes=1))
            left: Union[timedelta, Plan, None] = sentinel.look()
            print(isinstance(left, timedelta) and left.total_seconds() > 0, host.confirm(), sentinel.look())
        for name, record in host.snapshot().networks.items():
            print(name, record.network, *(f"{sysctl}={value}" for sysctl, value in record.before.items()))

        now = host.snapshot()
        for link in now.ports_of("xenbr0"):
            guard = now.guard_of(link.name)
            lock: Optional[Union[Antispoof, Lock]] = guard.lock if guard else None
            if isinstance(lock, Antispoof):
                print(link.name, link.mac, [str(ip) for ip in lock.ips])
        for drops in now.drops:
            print(drops.vif, drops.reason, drops.table, drops.frames)
        for name, account in now.accounts.items():
            print(name, account.index, account.routed, account.sent.bytes, account.received.packets)
        for name, access in now.dom0.items():
            print(name, *access.services or [access])

        report: Report = host.repair()
        for finding in report.findings:
            asked = finding.asked
            print(finding.severity, finding.vif, asked.macs if isinstance(asked, Antispoof) else asked, finding.remedy)
        if not report.is_sound and not host.verify().is_sound:
            return 2

        for vif in (*GUESTS, ROUTED):
            host.detach_vif(vif)
            host.forget_account(vif)
        host.attach_vif(asked_for(ROUTED))
        host.detach_vif(ROUTED)
        host.unforward_port("tcp:8080")
        host.stop_network(inner)
        host.unmasquerade_subnet(Masquerade("10.99.0.0/24", uplink="eth0"))
        host.set_dom0("xenbr1", Dom0.OPEN)
        host.delete_bridge("xenbr1")
        host.stop_network(network)
    return 0 if started else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1]))
    except XenvnetError as error:
        print(f"{error.kind}: {error}", *filter(None, [error.advice]), sep="\n", file=sys.stderr)
        sys.exit(1)
