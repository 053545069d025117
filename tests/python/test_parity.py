"""What core has, Python has: every verb, every kind of error, every finding."""

from __future__ import annotations

import dataclasses
import inspect
import json
import pickle
import re
import traceback
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import xenvnet
from xenvnet import _xenvnet


SOURCE = Path(__file__).parents[2] / "xenvnet-core" / "src"


@pytest.mark.parametrize("verb", _xenvnet.VERBS)
def test_every_verb_is_a_method_and_an_operation(verb: str) -> None:
    method, constructor = getattr(xenvnet.Host, verb), getattr(xenvnet.Operation, verb)
    operands = list(inspect.signature(method).parameters)[1:]
    assert operands == list(inspect.signature(constructor).parameters)
    assert method.__doc__ and constructor.__doc__


def test_every_method_of_a_host_is_there() -> None:
    text = "".join(file.read_text(encoding="utf-8") for file in (SOURCE / "host").glob("*.rs"))
    methods = set(re.findall(r"^    pub fn (\w+)\(&self\b", text, re.MULTILINE))
    assert methods > {*_xenvnet.VERBS, "plan", "apply", "undo", "plan_undo", "verify", "repair", "confirm", "look"}
    # Why these are for Rust alone stands in test_items.py.
    assert methods - set(dir(xenvnet.Host)) - set(dir(xenvnet.Sentinel)) == {"state_folder"}
    for cls in (xenvnet.Host, xenvnet.Sentinel):
        assert [name for name in methods & set(dir(cls)) if not getattr(cls, name).__doc__] == []


def test_every_kind_of_network_is_a_class() -> None:
    text = (SOURCE / "network" / "mod.rs").read_text(encoding="utf-8")
    scripts = re.search(r"const SCRIPTS: .*?\];", text, re.DOTALL)
    assert scripts is not None
    words = {"bridge-shadow": "eth0"}
    lines = [f"{script} {words.get(script, '')}" for script in re.findall(r'"([\w-]+)"', scripts.group())]
    kinds = {type(xenvnet.Network.parse(line)) for line in lines}
    assert kinds == set(xenvnet.Network.__subclasses__()) and len(kinds) == len(lines) >= 7


def test_there_are_verbs_and_kinds() -> None:
    assert len(_xenvnet.VERBS) >= 15
    assert len(_xenvnet.ERROR_KINDS) >= 12


@pytest.mark.parametrize(("kind", "name"), _xenvnet.ERROR_KINDS)
class TestEveryKindOfError:
    def test_it_has_a_class(self, kind: str, name: str) -> None:
        error = getattr(xenvnet, name)
        assert issubclass(error, xenvnet.XenvnetError)
        assert (error.kind, error.__name__) == (kind, name)
        assert name in xenvnet.__all__

    def test_its_facts_are_kept(self, kind: str, name: str) -> None:
        error = getattr(xenvnet, name)
        inner = xenvnet.KernelError("cannot release vif1.0: b", errno=22)
        caught = error("cannot a: b", errno=16, kernel_words="busy", offset=3, advice="try again", also=[inner])
        for it in (caught, pickle.loads(pickle.dumps(caught))):
            assert str(it) == "cannot a: b"
            assert (it.errno, it.kernel_words, it.offset, it.advice) == (16, "busy", 3, "try again")
            assert [str(other) for other in it.also] == ["cannot release vif1.0: b"]
            assert it.also[0].errno == 22
            assert type(it) is error
            if isinstance(it, OSError):
                assert it.strerror == "busy"

    def test_a_traceback_ends_with_the_advice(self, kind: str, name: str) -> None:
        error = getattr(xenvnet, name)("cannot a: b", advice="try again")
        lines = "".join(traceback.format_exception_only(type(error), error)).splitlines()
        assert lines == [f"xenvnet.{name}: cannot a: b", "try again"]


def test_no_class_without_a_kind() -> None:
    classes = {cls.__name__ for cls in xenvnet.XenvnetError.__subclasses__()}
    assert classes == {name for _, name in _xenvnet.ERROR_KINDS}


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (xenvnet.ParseError, ValueError),
        (xenvnet.InvalidArgumentError, ValueError),
        (xenvnet.NotFoundError, LookupError),
        (xenvnet.BusyError, OSError),
        (xenvnet.PermissionDeniedError, PermissionError),
        (xenvnet.UnsupportedError, NotImplementedError),
        (xenvnet.KernelError, OSError),
        (xenvnet.StateError, OSError),
        (xenvnet.InternalError, RuntimeError),
    ],
)
def test_the_builtin_that_a_caller_would_catch(error: type[Exception], builtin: type[Exception]) -> None:
    with pytest.raises(builtin):
        raise error("cannot a: b")


def test_every_reason_and_table_of_a_drop() -> None:
    hints = get_type_hints(xenvnet.Drops)
    assert list(get_args(hints["reason"])) == _xenvnet.DROP_REASONS
    assert list(get_args(hints["table"])) == _xenvnet.TABLES
    assert len(_xenvnet.DROP_REASONS) >= 9 and len(_xenvnet.TABLES) >= 8


PORT = {"learning": True, "isolated": False, "locked": False, "flood": True, "bpdu_guard": False, "group_fwd_mask": 0}
LOCKED = {"locked": {"macs": ["00:16:3e:00:00:01"], "ips": [], "dhcp_client": False, "link_local": True}}
FINDINGS: dict[str, dict[str, Any]] = {
    "table_missing": {"table": "bridge"},
    "table_dormant": {"table": "netdev"},
    "table_altered": {"table": "inet", "defect": "chain forward: a rule is missing"},
    "old_layout": {"table": "bridge", "layout": 1},
    "not_locked": {"vif": "vif1.0", "table": "bridge", "asked": LOCKED},
    "unguarded": {"vif": "vif1.0"},
    "lock_differs": {"vif": "vif1.0", "table": "bridge", "asked": LOCKED, "missing": 1, "surplus": 2},
    "renamed": {"vif": "web", "was": "vif1.0"},
    "not_in_group": {"vif": "vif1.0", "group": 0},
    "port_flags": {"vif": "vif1.0", "found": PORT, "asked": {**PORT, "learning": False, "locked": True}},
    "not_pinned": {"vif": "vif1.0", "mac": "00:16:3e:00:00:01"},
    "released": {"vif": "vif1.0", "bridge": "xenbr0", "found": "xenbr1"},
    "not_at_ingress": {"vif": "vif1.0"},
    "port_shut": {"vif": "vif1.0", "bridge": "xenbr0"},
    "leftover": {"vif": "vif1.0", "table": "netdev"},
    "unknown_port": {"bridge": "xenbr0", "port": "tap0"},
    "dom0_differs": {"interface": "xenbr0", "asked": "closed", "missing": 3, "surplus": 0},
    "not_masqueraded": {"masquerade": {"subnet": "10.0.0.0/8"}},
    "not_forwarded": {"forward": {"port": "tcp:8080", "to": "10.0.0.2:80", "behind": "xenbr0"}},
    "network_forgotten": {"network": "network-virtual bridge=xenbr0 bridgeip=10.98.98.1/24 brnet=10.98.98.0/24"},
    "tracked": {"vif": "vif1.0"},
    "not_accounted": {"vif": "web"},
    "no_bridge": {"network": "network-virtual bridge=xenbr0 bridgeip=10.98.98.1/24 brnet=10.98.98.0/24"},
    "no_such_interface": {"interface": "xenbr7", "asked": "closed"},
    "forward_drop": {"family": "ip", "table": "filter", "chain": "FORWARD"},
    "cut_off": {},
    "pair": {"vif": "vif1.0", "twin": "vif1.0-emu"},
    "no_port_lock": {"vif": "vif1.0"},
}
PLAIN = {"kind", "severity", "sentence", "remedy", "repairable"}


def as_json(value: Any) -> Any:
    """What a finding is about, as JSON has it."""
    if isinstance(value, xenvnet.Antispoof):
        return LOCKED if value == xenvnet.Antispoof("00:16:3e:00:00:01") else None
    if isinstance(value, xenvnet.Masquerade):
        return {"subnet": str(value.subnet)}
    if isinstance(value, xenvnet.Forward):
        ip, port = value.to
        return {"port": value.port, "to": f"{ip}:{port}", "behind": value.behind}
    if isinstance(value, xenvnet.PortState):
        return dataclasses.asdict(value)
    return value if isinstance(value, int) else str(value)


@pytest.mark.parametrize("kind", FINDINGS)
def test_a_finding_has_all_that_its_json_has(kind: str) -> None:
    text = json.dumps({"findings": [{"finding": kind, **FINDINGS[kind]}], "repair": []})
    (found,) = xenvnet.Report.from_json(text).findings
    assert found.kind == kind
    names = {field.name for field in dataclasses.fields(found)} - PLAIN
    facts = {name: getattr(found, name) for name in names if getattr(found, name) is not None}
    assert {name: as_json(value) for name, value in facts.items()} == FINDINGS[kind]
    hints = get_type_hints(xenvnet.Finding)
    for name, value in facts.items():
        assert isinstance(value, get_args(hints[name]))
    assert found.sentence and found.remedy and found.severity in get_args(hints["severity"])


def test_no_kind_of_finding_is_left_out() -> None:
    text = (SOURCE / "verify" / "finding.rs").read_text(encoding="utf-8")
    kinds = re.search(r"pub fn kind\(.*?\n    }\n", text, re.DOTALL)
    assert kinds is not None
    assert set(re.findall(r'=> "(\w+)"', kinds.group())) == set(FINDINGS)
