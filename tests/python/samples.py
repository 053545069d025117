"""Values that more than one file of tests is about."""

from __future__ import annotations

from xenvnet import Antispoof, Brouter, Operation, Report, Snapshot

MAC = "00:16:3e:00:00:01"
LOCK = Antispoof(MAC, ips=["10.98.98.2", "2001:db8:8::/64"], dhcp_client=True)
BROUTER = Brouter("xenbr0", address="10.98.98.1/24", uplink="eth0", antispoof=True)
PLAN = Operation.create_bridge("xenbr0").plan(Snapshot())
REPORT = Report.from_json(
    '{"findings":[{"finding":"renamed","vif":"web","was":"vif1.0"},'
    '{"finding":"pair","vif":"vif2.0","twin":"vif2.0-emu"},{"finding":"unguarded","vif":"vif3.0"},'
    '{"finding":"dom0_differs","interface":"xenbr0","asked":"services(dns)","missing":2,"surplus":0}],'
    f'"repair":{PLAN.to_json()}}}'
)
