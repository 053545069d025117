"""Operations, plans, snapshots and reports, as values. No kernel, no privilege."""

from __future__ import annotations

import ipaddress

import pytest
from samples import PLAN, REPORT
from xenvnet import (
    Account,
    Bridge,
    BridgeState,
    ConflictError,
    Counter,
    Dom0,
    Forward,
    Guard,
    Lock,
    NotFoundError,
    Operation,
    ParseError,
    Plan,
    Report,
    Snapshot,
)


class TestOperation:
    def test_json(self) -> None:
        operation = Operation.create_bridge("xenbr0")
        assert operation.to_json() == '{"create_bridge":{"name":"xenbr0","stp":false}}'
        assert Operation.from_json(operation.to_json()) == operation
        assert (operation.verb, str(operation)) == ("create_bridge", "create bridge xenbr0")
        with pytest.raises(ParseError, match="limit is 15"):
            Operation.from_json('{"release_vif":{"vif":"a.name.that.is.too.long"}}')
        with pytest.raises(ParseError, match="one operation is wanted, not a list of 2"):
            Operation.from_json(f"[{operation.to_json()}, {operation.to_json()}]")

    def test_a_plan_needs_no_kernel(self) -> None:
        operation = Operation.create_bridge(Bridge("xenbr0", addresses="10.0.0.1/24"))
        after = Snapshot().after(operation.plan(Snapshot()))
        assert not operation.plan(after)
        assert [bridge.name for bridge in after.bridges] == ["xenbr0"]
        assert after.addresses == {"xenbr0": (ipaddress.ip_interface("10.0.0.1/24"),)}
        assert after.links["xenbr0"].bridge == BridgeState(stp=False, forward_delay=0)
        with pytest.raises(NotFoundError, match="cannot release vif1.0: no interface named vif1.0"):
            Operation.release_vif("vif1.0").plan(Snapshot())


class TestPlan:
    def test_its_steps_are_lines(self) -> None:
        assert len(PLAN) == len(PLAN.steps) == 2
        assert list(PLAN) == list(PLAN.steps) == str(PLAN).splitlines()
        assert PLAN.steps[1] == "~ xenbr0: up"
        assert PLAN and not Plan.from_json("[]")

    def test_it_is_put_back_and_joined(self) -> None:
        assert PLAN.inverse().steps == ("~ xenbr0: down", "- bridge xenbr0")
        assert PLAN.inverse().inverse() == PLAN
        assert len(PLAN.then(PLAN.inverse())) == 4

    def test_json(self) -> None:
        assert Plan.from_json(PLAN.to_json()) == PLAN
        for text in ("", "{}", '[{"step":"dance"}]', '[{"step":"up","link":"a/b"}]'):
            with pytest.raises(ParseError, match="^plan: ") as caught:
                Plan.from_json(text)
            assert caught.value.offset is not None


def test_a_snapshot_of_guests_that_are_held_at_ingress() -> None:
    card = '{"index":4,"name":"vif1.0","mac":null,"mtu":1500,"up":true,"group":7777}'
    guard = '{"device":4,"owner":"vif1.0","lock":"disabled"}'
    before = Snapshot()
    text = before.to_json()[:-1] + f', "ingress":{{"vif1.0":{guard}}}, "hooks":["vif1.0"], "dom0":{{"vif1.0":"closed"}}}}'
    now = Snapshot.from_json(text.replace('"links":{}', f'"links":{{"vif1.0":{card}}}'))
    held = Guard(4, Lock.DISABLED, owner="vif1.0")
    assert (now.guards, now.ingress, now.hooks) == ({}, {"vif1.0": held}, ("vif1.0",))
    assert now.guard_of("vif1.0") == held
    assert not now.is_paired("vif1.0")
    assert now.dom0 == {"vif1.0": Dom0.CLOSED}
    assert (before.ingress, before.hooks, before.dom0, before.untracked, before.tables) == ({}, (), {}, {}, {})
    closed = before.after(Operation.set_dom0("xenbr0", "closed").plan(before))
    assert closed.dom0 == {"xenbr0": Dom0.CLOSED}
    assert list(closed.tables) == ["dom0"]


def test_a_snapshot_of_ports_that_lead_to_guests() -> None:
    forward = Forward("tcp:8080", to="10.98.98.2:80")
    operation, before = Operation.forward_port(forward), Snapshot()
    after = before.after(operation.plan(before))
    assert (before.forwards, after.forwards, list(after.tables)) == ((), (forward,), ["forwards"])
    assert not operation.plan(after)
    with pytest.raises(ConflictError, match="it leads to 10.98.98.2:80 already"):
        Operation.forward_port("tcp:8080 to 10.98.98.3:80").plan(after)
    assert after.after(Operation.unforward_port("tcp:8080").plan(after)) == before


def test_a_snapshot_of_traffic_that_is_counted() -> None:
    text = '{"index":3,"routed":true,"sent":{"packets":2,"bytes":168},"received":{"packets":1,"bytes":84}}'
    now = Snapshot.from_json(Snapshot().to_json()[:-1] + f', "accounts":{{"web":{text}}}}}')
    account = Account(3, sent=Counter(2, 168), received=Counter(1, 84), routed=True)
    assert (now.accounts, Snapshot().accounts) == ({"web": account}, {})
    assert str(account.sent) == "2 packets, 168 bytes"
    forget = Operation.forget_account("web")
    assert str(forget) == "forget the account of web"
    assert now.after(forget.plan(now)).accounts == {}
    assert not forget.plan(Snapshot())
    with pytest.raises(TypeError, match="name of an interface"):
        Operation.forget_account(1)  # type: ignore[arg-type]


def test_a_snapshot_as_dictionaries() -> None:
    after = Snapshot().after(PLAN)
    assert after.to_dict()["links"]["xenbr0"]["up"] is True
    assert Snapshot.from_json(after.to_json()) == after
    assert after.guard_of("xenbr0") is None
    assert (after.vifs, after.drops, after.masquerades, after.ports_of("xenbr0")) == ((), (), (), ())


class TestReport:
    def test_a_finding_says_what_it_is_about(self) -> None:
        renamed, pair, unguarded, dom0 = REPORT.findings
        assert (renamed.kind, renamed.severity, renamed.repairable) == ("renamed", "fault", True)
        assert (renamed.vif, renamed.was, renamed.bridge) == ("web", "vif1.0", None)
        assert str(renamed) == "web was vif1.0 when it was locked: its lock stands under the old name"
        assert renamed.remedy == "xenvnet verify --repair"
        assert (pair.severity, pair.twin, pair.repairable) == ("note", "vif2.0-emu", False)
        assert (unguarded.severity, unguarded.repairable) == ("hole", False)
        assert "antispoof set vif3.0" in unguarded.remedy
        assert (dom0.interface, dom0.asked, dom0.missing, dom0.surplus) == ("xenbr0", Dom0("dns"), 2, 0)
        assert "None" not in repr(renamed)

    def test_it_is_as_bad_as_its_worst_finding(self) -> None:
        assert (REPORT.is_sound, REPORT.worst) == (False, "hole")
        nothing = Report.from_json('{"findings":[],"repair":[]}')
        assert (nothing.is_sound, nothing.worst, nothing.findings, str(nothing)) == (True, None, (), "")
        note = Report.from_json('{"findings":[{"finding":"no_port_lock","vif":"vif1.0"}],"repair":[]}')
        assert (note.is_sound, note.worst) == (True, "note")

    def test_its_text_has_each_finding_with_its_remedy(self) -> None:
        lines = [line for of in REPORT.findings for line in (f"{of.severity}: {of}", f"  remedy: {of.remedy}")]
        assert str(REPORT).splitlines() == lines
        assert REPORT.repair == PLAN

    def test_json(self) -> None:
        assert Report.from_json(REPORT.to_json()) == REPORT
        for text in ("", "[]", '{"findings":[{"finding":"bored"}],"repair":[]}'):
            with pytest.raises(ParseError, match="^report: "):
                Report.from_json(text)
