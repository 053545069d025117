"""The host, each test in its own network namespace; the truth is what ip and nft say."""

from __future__ import annotations

import ctypes
import errno
import faulthandler
import ipaddress
import logging
import os
import pickle
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import oracle
import pytest
from xenvnet import (
    Antispoof,
    Attachment,
    Bridge,
    Brouter,
    ConflictError,
    Host,
    InvalidArgumentError,
    KernelError,
    Lock,
    MacAddr,
    Masquerade,
    NotFoundError,
    Operation,
    PermissionDeniedError,
    StateError,
    VifId,
)

LOCK = Antispoof("00:16:3e:00:00:01", ips=["10.0.0.2", "2001:db8::/64"], dhcp_client=True)


def in_child(work: Callable[[], Any]) -> Callable[[], Any]:
    """Starts work in a forked process; the call that it returns waits for what came of it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        result: Any = None
        try:
            result = work()
        except BaseException as error:  # whatever it is, the parent shall see it
            result = error
        finally:
            os.write(writer, pickle.dumps(result))
            os._exit(0)
    os.close(writer)

    def wait() -> Any:
        with open(reader, "rb") as pipe:
            result = pickle.loads(pipe.read())
        os.waitpid(child, 0)
        if isinstance(result, BaseException):
            raise result
        return result

    return wait


class TestBridges:
    def test_create(self, host: Host) -> None:
        assert host.create_bridge("xenbr0") is True
        assert host.create_bridge("xenbr0") is False
        found = oracle.link("xenbr0")
        assert found is not None
        assert "UP" in found["flags"]
        assert found["linkinfo"]["info_kind"] == "bridge"
        assert found["linkinfo"]["info_data"]["stp_state"] == 0
        assert found["linkinfo"]["info_data"]["forward_delay"] == 0

    def test_create_with_everything(self, host: Host) -> None:
        bridge = Bridge("xenbr0", mac="02:00:00:00:00:07", mtu=9000, addresses=["10.0.0.1/24", "2001:db8::1/64"])
        assert host.create_bridge(bridge)
        assert not host.create_bridge(bridge)
        found = oracle.link("xenbr0")
        assert found is not None
        assert (found["address"], found["mtu"]) == ("02:00:00:00:00:07", 9000)
        assert oracle.addresses("xenbr0") == {"10.0.0.1/24", "2001:db8::1/64"}

    def test_delete(self, host: Host) -> None:
        before = oracle.host_state()
        host.create_bridge("xenbr0")
        assert host.delete_bridge("xenbr0") is True
        assert host.delete_bridge("xenbr0") is False
        assert oracle.host_state() == before

    def test_ports(self, host: Host) -> None:
        host.create_bridge("xenbr0")
        oracle.add_vif("vif1.0")
        vif = VifId(1, devid=0)
        assert host.enslave_vif(vif, "xenbr0") is True
        assert host.enslave_vif(vif, bridge="xenbr0") is False
        assert oracle.ports("xenbr0") == {"vif1.0"}
        assert host.release_vif(vif) is True
        assert host.release_vif(vif) is False
        assert oracle.ports("xenbr0") == set()


class TestAntispoof:
    def test_set_and_clear(self, host: Host) -> None:
        host.create_bridge("xenbr0")
        oracle.add_vif("vif1.0")
        host.enslave_vif("vif1.0", "xenbr0")
        assert host.set_antispoof("vif1.0", LOCK) is True
        assert host.set_antispoof("vif1.0", LOCK) is False
        (element,) = oracle.elements("bridge", "guarded")
        assert element["elem"]["val"] == "vif1.0"
        assert element["elem"]["comment"].endswith(f"locked {LOCK}")
        assert oracle.elements("bridge", "own_ip4") == [{"concat": ["vif1.0", "00:16:3e:00:00:01", "10.0.0.2"]}]
        port = oracle.link("vif1.0")
        assert port is not None
        assert port["linkinfo"]["info_slave_data"]["learning"] is False
        assert host.clear_antispoof("vif1.0") is True
        assert host.clear_antispoof("vif1.0") is False
        assert "bridge xenvnet" not in oracle.tables() or oracle.elements("bridge", "guarded") == []

    def test_from_lock_to_lock(self, host: Host) -> None:
        oracle.add_vif("vif1.0")
        for lock, words in ((Lock.DISABLED, "disabled"), (LOCK, f"locked {LOCK}")):
            assert host.set_antispoof("vif1.0", lock) is True
            (element,) = oracle.elements("bridge", "guarded")
            assert element["elem"]["comment"].split(" ", 1)[1] == f"owner=vif1.0 {words}"
            guard = host.snapshot().guard_of("vif1.0")
            assert guard is not None
            assert (guard.lock, guard.owner) == (lock, "vif1.0")
        assert host.set_antispoof("vif1.0", Lock.UNLOCKED) is True
        assert host.snapshot().guards == {}

    def test_an_interface_that_is_up_on_no_bridge_is_held_where_its_frames_come_in(self, host: Host) -> None:
        oracle.add_vif("vif1.0")
        oracle.run("ip", "link", "set", "vif1.0", "up")
        assert host.set_antispoof("vif1.0", LOCK) is True
        assert host.set_antispoof("vif1.0", LOCK) is False
        now = host.snapshot()
        assert (now.guards["vif1.0"].lock, now.ingress["vif1.0"].lock, now.hooks) == (LOCK, LOCK, ("vif1.0",))
        assert 'device "vif1.0"' in oracle.run("nft", "list", "table", "netdev", "xenvnet")

    def test_what_is_dropped_is_counted(self, host: Host) -> None:
        host.create_bridge("xenbr0")
        for vif in ("vif1.0", "vif2.0"):
            oracle.add_vif(vif)
        host.attach_vif(Attachment("vif1.0", bridge="xenbr0", lock=LOCK))
        foreign = oracle.ether("ff:ff:ff:ff:ff:ff", "00:16:3e:00:00:ee", b"\x08\x00" + bytes(46))
        (drop,) = oracle.sent_until("guest1.0", foreign, lambda: host.snapshot().drops)
        assert (drop.vif, drop.reason, drop.table) == ("vif1.0", "mac", "bridge")
        assert drop.frames >= 1


class TestVifs:
    def test_attach_and_detach(self, host: Host) -> None:
        host.create_bridge("xenbr0")
        oracle.add_vif("vif1.0")
        attachment = Attachment("vif1.0", bridge="xenbr0", lock=LOCK, name="web", mtu=1400, isolated=True)
        assert host.attach_vif(attachment) is True
        assert host.attach_vif(attachment) is False
        found = oracle.link("web")
        assert found is not None
        assert (found["master"], found["mtu"], found["ifalias"]) == ("xenbr0", 1400, "vif1.0")
        assert found["address"] == str(MacAddr.VIF_BACKEND)
        assert "UP" in found["flags"]
        assert found["linkinfo"]["info_slave_data"]["isolated"] is True
        assert [element["elem"]["val"] for element in oracle.elements("bridge", "guarded")] == ["web"]
        assert host.snapshot().guards["web"].owner == "vif1.0"
        assert host.detach_vif("web") is True
        assert host.detach_vif("web") is False
        found = oracle.link("web")
        assert found is not None
        assert "UP" not in found["flags"] and "master" not in found

    def test_a_renamed_vif_is_detached_by_netbacks_name(self, host: Host) -> None:
        host.create_bridge("xenbr0")
        oracle.add_vif("vif1.0")
        host.attach_vif(Attachment("vif1.0", bridge="xenbr0", lock=LOCK, name="web"))
        assert host.detach_vif("vif1.0") is True
        assert host.detach_vif("vif1.0") is False
        assert oracle.ports("xenbr0") == set()
        assert host.snapshot().guards == {}

    def test_many_are_attached_or_none(self, host: Host) -> None:
        host.create_bridge("xenbr0")
        for vif in ("vif1.0", "vif2.0"):
            oracle.add_vif(vif)
        before = oracle.host_state()
        wanted = [
            Attachment(f"vif{n}.0", bridge="xenbr0", lock=Antispoof(f"00:16:3e:00:00:0{n}")) for n in (1, 2, 3)
        ]
        with pytest.raises(NotFoundError, match="cannot attach vif3.0 to xenbr0: no interface named vif3.0"):
            host.attach_vifs(wanted)
        assert oracle.host_state() == before
        assert host.attach_vifs(wanted[:2]) is True
        assert host.attach_vifs(wanted[:2]) is False
        assert oracle.ports("xenbr0") == {"vif1.0", "vif2.0"}


class TestNetworks:
    def test_start_and_stop(self, host: Host) -> None:
        before = oracle.host_state()
        brouter = Brouter("xenbr0", address="10.98.98.1/24")
        assert oracle.forwarding() == 0
        assert host.start_network(brouter) is True
        assert host.start_network(str(brouter)) is False
        assert oracle.addresses("xenbr0") == {"10.98.98.1/24"}
        assert oracle.forwarding() == 1
        assert "ip saddr 10.98.98.0/24" in oracle.run("nft", "list", "table", "inet", "xenvnet")
        record = host.snapshot().networks["xenbr0"]
        assert (record.network, record.before) == (brouter, {"net.ipv4.ip_forward": 0})
        with pytest.raises(ConflictError):
            host.start_network("network-virtual bridge=xenbr0 bridgeip=10.99.0.1/24")
        assert host.stop_network(brouter) is True
        assert host.stop_network(brouter) is False
        assert oracle.host_state() == before

    def test_masquerade(self, host: Host) -> None:
        before = oracle.host_state()
        rule = Masquerade("10.0.0.0/8", uplink="eth0")
        assert host.masquerade_subnet(rule) is True
        assert host.masquerade_subnet(rule) is False
        assert host.masquerade_subnet(ipaddress.ip_network("2001:db8::/32")) is True
        listed = oracle.run("nft", "list", "table", "inet", "xenvnet")
        assert re.search(r'oifname "eth0" .*ip saddr 10\.0\.0\.0/8|ip saddr 10\.0\.0\.0/8 .*oifname "eth0"', listed)
        assert "ip6 saddr 2001:db8::/32" in listed
        assert host.snapshot().masquerades == (rule, Masquerade("2001:db8::/32"))
        assert host.unmasquerade_subnet(rule) is True
        assert host.unmasquerade_subnet("2001:db8::/32") is True
        assert host.unmasquerade_subnet(rule) is False
        assert oracle.host_state() == before


class TestPlans:
    def test_a_plan_changes_nothing_until_applied(self, host: Host) -> None:
        before = oracle.host_state()
        operations = [Operation.create_bridge("xenbr0"), Operation.masquerade_subnet("10.0.0.0/8")]
        plan = host.plan(operations)
        assert oracle.host_state() == before
        assert plan.steps[0].startswith("+ bridge xenbr0 mac 2e:62:")
        assert host.apply(plan) is True
        assert not host.plan(operations)
        assert host.apply(host.plan(operations)) is False
        assert host.apply(plan.inverse()) is True
        assert oracle.host_state() == before

    def test_observe_and_plan_is_what_plan_does(self, host: Host) -> None:
        operation = Operation.create_bridge("xenbr0")
        assert operation.plan(host.observe(operation)) == host.plan(operation)
        assert host.run(operation) is True
        assert host.run(operation) is False
        assert host.observe(operation).links.keys() == {"xenbr0"}

    def test_a_failing_step_leaves_all_as_it_was(self, host: Host) -> None:
        before = oracle.host_state()
        with pytest.raises(KernelError, match="cannot enslave lo to xenbr0") as caught:
            host.run_all([Operation.create_bridge("xenbr0"), Operation.enslave_vif("lo", "xenbr0")])
        assert caught.value.errno == errno.EINVAL
        assert caught.value.kernel_words == caught.value.strerror
        assert oracle.host_state() == before

    def test_undo(self, host: Host) -> None:
        before = oracle.host_state()
        host.create_bridge("xenbr0")
        plan = host.plan_undo()
        assert plan.steps == ("~ xenbr0: down", "- bridge xenbr0")
        assert oracle.link("xenbr0") is not None
        assert host.undo() is True
        assert oracle.host_state() == before
        for call in (host.undo, host.plan_undo):
            with pytest.raises(NotFoundError, match="cannot undo the last change"):
                call()

    def test_undo_leaves_what_others_did_since(self, host: Host) -> None:
        host.create_bridge("xenbr0")
        oracle.add_vif("vif1.0")
        subprocess.run(["ip", "link", "set", "vif1.0", "master", "xenbr0"], check=True)
        before = oracle.host_state()
        for call in (host.undo, host.plan_undo):
            with pytest.raises(ConflictError, match="undo the last change: vif1.0 is a port of xenbr0 by now"):
                call()
        assert oracle.host_state() == before
        # Nothing was cut off that could be left as it is.
        assert host.forget_cut_off() is False
        subprocess.run(["ip", "link", "set", "vif1.0", "nomaster"], check=True)
        assert host.undo() is True
        assert oracle.link("xenbr0") is None

    def test_a_snapshot_is_what_ip_says(self, host: Host) -> None:
        host.create_bridge(Bridge("xenbr0", addresses="10.0.0.1/24"))
        oracle.add_vif("vif1.0")
        host.attach_vif(Attachment("vif1.0", bridge="xenbr0", lock=Lock.UNLOCKED))
        now = host.snapshot()
        seen = {
            (link.index, link.name, str(link.mac), link.mtu, link.up, link.master) for link in now.links.values()
        }
        assert seen == {
            (item["ifindex"], item["ifname"], item["address"], item["mtu"], "UP" in item["flags"], item.get("master"))
            for item in oracle.ip("link", "show")
        }
        assert now.addresses["xenbr0"] == (ipaddress.ip_interface("10.0.0.1/24"),)
        assert [link.name for link in now.bridges] == ["xenbr0"]
        assert [link.name for link in now.ports_of("xenbr0")] == ["vif1.0"]
        assert now.to_dict()["links"]["vif1.0"]["master"] == "xenbr0"


class TestErrors:
    def test_a_missing_interface(self, host: Host) -> None:
        before = oracle.host_state()
        with pytest.raises(NotFoundError, match="cannot enslave vif3.0 to xenbr0: no interface named xenbr0") as caught:
            host.enslave_vif("vif3.0", "xenbr0")
        assert (caught.value.kind, caught.value.errno, caught.value.also) == ("not_found", None, ())
        assert oracle.host_state() == before

    def test_advice(self, host: Host) -> None:
        host.create_bridge("xenbr0")
        host.create_bridge("xenbr1")
        oracle.add_vif("vif1.0")
        host.enslave_vif("vif1.0", "xenbr0")
        with pytest.raises(ConflictError, match="vif1.0 is a port of xenbr0") as caught:
            host.enslave_vif("vif1.0", "xenbr1")
        assert caught.value.advice is not None and "release" in caught.value.advice
        if sys.version_info >= (3, 11):
            assert caught.value.advice in caught.value.__notes__

    def test_without_privilege(self, netns: None) -> None:
        before = oracle.host_state()

        def powerless() -> None:
            # A user namespace that does not own the network namespace has no power over it.
            libc = ctypes.CDLL(None, use_errno=True)
            assert libc.unshare(oracle.CLONE_NEWUSER) == 0
            with Host() as host:
                host.create_bridge("xenbr0")

        with pytest.raises(PermissionDeniedError) as caught:
            in_child(powerless)()
        assert isinstance(caught.value, PermissionError)
        assert caught.value.errno == errno.EPERM
        assert caught.value.advice is not None and "CAP_NET_ADMIN" in caught.value.advice
        assert "kernel: Operation not permitted" in str(caught.value)
        assert oracle.host_state() == before

    def test_a_state_directory_that_others_may_write(self, netns: None, tmp_path: Path) -> None:
        tmp_path.chmod(0o777)
        with pytest.raises(StateError, match="others may write it"):
            Host(state_dir=tmp_path)

    def test_wrong_types_reach_no_kernel(self, host: Host) -> None:
        calls: list[Any] = [host.create_bridge, host.run, host.attach_vif, host.attach_vifs, host.apply, host.plan]
        for call in calls:
            with pytest.raises(TypeError):
                call(5)
        with pytest.raises(TypeError, match="str or VifId"):
            host.delete_bridge(None)  # type: ignore[arg-type]


class TestLogging:
    def test_the_steps_of_a_change(self, host: Host, caplog: pytest.LogCaptureFixture) -> None:
        operation = Operation.create_bridge("xenbr0")
        steps = list(host.plan(operation))
        with caplog.at_level(logging.DEBUG, logger="xenvnet"):
            host.run(operation)
        seen = [(record.name, record.levelno, record.getMessage()) for record in caplog.records]
        assert seen == [("xenvnet", logging.DEBUG, step) for step in steps]

    def test_the_level_is_the_loggers_at_every_call(self, host: Host, caplog: pytest.LogCaptureFixture) -> None:
        for level, records in ((logging.INFO, False), (logging.DEBUG, True), (logging.WARNING, False)):
            caplog.clear()
            with caplog.at_level(level, logger="xenvnet"):
                host.create_bridge("xenbr0")
                host.delete_bridge("xenbr0")
            assert bool(caplog.records) is records

    def test_records_of_a_thread(self, host: Host, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG, logger="xenvnet"):
            thread = threading.Thread(target=host.create_bridge, args=("xenbr0",), name="other")
            thread.start()
            thread.join()
        assert {record.threadName for record in caplog.records} == {"other"}

    def test_a_filter_that_raises(self, host: Host, caplog: pytest.LogCaptureFixture) -> None:
        def refuse(record: logging.LogRecord) -> bool:
            raise KeyboardInterrupt(record.getMessage())

        logger = logging.getLogger("xenvnet")
        with caplog.at_level(logging.DEBUG, logger="xenvnet"):
            logger.addFilter(refuse)
            try:
                with pytest.raises(KeyboardInterrupt, match=r"^\+ bridge xenbr0 "):
                    host.create_bridge("xenbr0")
                with pytest.raises(KeyboardInterrupt, match=r"^\+ lo: port of xenbr0"):
                    host.enslave_vif("lo", "xenbr0")
            finally:
                logger.removeFilter(refuse)
        assert host.create_bridge("xenbr0") is False, "what had begun was brought to its end"

    def test_without_a_handler_nothing_is_printed(self) -> None:
        program = "import logging, xenvnet; logging.getLogger('xenvnet').warning('heard by nobody')"
        done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
        assert (done.stdout, done.stderr) == (b"", b"")


class TestOpening:
    def test_a_context_closes(self, netns: None, tmp_path: Path) -> None:
        with Host(state_dir=tmp_path) as host:
            assert not host.closed
        assert host.closed
        host.close()
        for call in (host.snapshot, host.__enter__, host.undo):
            with pytest.raises(ValueError, match="closed"):
                call()

    def test_closing_gives_the_descriptors_back(self, netns: None, tmp_path: Path) -> None:
        with Host(state_dir=tmp_path):
            pass
        before = os.listdir("/proc/self/fd")
        for _ in range(3):
            with Host(state_dir=tmp_path) as host:
                host.snapshot()
        assert os.listdir("/proc/self/fd") == before

    @pytest.mark.parametrize("form", ["descriptor", "str", "Path"])
    def test_another_namespace(self, netns: None, tmp_path: Path, form: str) -> None:
        with oracle.new_netns():
            there = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            path = f"/proc/{os.getpid()}/fd/{there}"
            given: Any = {"descriptor": there, "str": path, "Path": Path(path)}[form]
            here = oracle.host_state()
            with Host(netns=given, state_dir=tmp_path) as host:
                assert host.start_network("network-virtual bridge=xenbr0 bridgeip=10.98.98.1/24")
            assert oracle.host_state() == here
            assert "xenbr0" in oracle.run("nsenter", f"--net={path}", "ip", "link", "show", "type", "bridge")
            assert oracle.run("nsenter", f"--net={path}", "cat", "/proc/sys/net/ipv4/ip_forward") == "1\n"
            os.fstat(there)  # still the caller's
        finally:
            os.close(there)

    def test_no_namespace(self, netns: None, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError) as caught:
            Host(netns="/run/netns/nowhere")
        assert caught.value.filename == "/run/netns/nowhere"
        file = tmp_path / "file"
        file.touch()
        with pytest.raises(InvalidArgumentError, match="no network namespace"):
            Host(netns=file)
        for wrong in (1.5, -1, ["a"]):
            with pytest.raises(TypeError, match="a network namespace"):
                Host(netns=wrong)  # type: ignore[arg-type]


@contextmanager
def lock_held(state: Path) -> Iterator[Callable[[], None]]:
    """Another process at work in the state directory, until it is told to end."""
    (lock,) = state.glob("net-*/lock")
    program = "import fcntl, sys; f = open(sys.argv[1], 'r+'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None and other.stdout is not None
        other.stdout.readline()
        yield lambda: print(file=other.stdin, flush=True)
    assert other.returncode == 0


def is_waiting_for_lock() -> bool:
    """Whether this process waits in the kernel for a record lock."""
    with open("/proc/locks", encoding="ascii") as locks:
        return any(re.search(rf"-> POSIX .* {os.getpid()} ", line) for line in locks)


class TestThreads:
    def test_one_host_serves_many(self, host: Host) -> None:
        host.create_bridge("xenbr0")
        vifs = [VifId(n, devid=0) for n in range(1, 9)]
        for vif in vifs:
            oracle.add_vif(vif.ifname)
        start = threading.Barrier(len(vifs))
        changed: dict[VifId, list[bool]] = {vif: [] for vif in vifs}

        def serve(vif: VifId) -> None:
            mac = MacAddr.from_ip(f"10.0.0.{vif.domid}")
            attachment = Attachment(vif, bridge="xenbr0", lock=Antispoof(mac, ips=f"10.0.0.{vif.domid}"))
            start.wait()
            for _ in range(5):
                changed[vif] += [host.attach_vif(attachment), host.attach_vif(attachment), host.detach_vif(vif)]
            changed[vif].append(host.attach_vif(attachment))

        threads = [threading.Thread(target=serve, args=(vif,)) for vif in vifs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert changed == {vif: [True, False, True] * 5 + [True] for vif in vifs}
        assert oracle.ports("xenbr0") == {vif.ifname for vif in vifs}
        assert len(oracle.elements("bridge", "own_ip4")) == len(vifs)

    @pytest.mark.parametrize("verb", ["create_bridge", "confirm", "look"])
    def test_others_run_while_a_call_waits(self, host: Host, tmp_path: Path, verb: str) -> None:
        sentinel = host.sentinel()
        calls: dict[str, tuple[Callable[[], Any], Any]] = {
            "create_bridge": (lambda: host.create_bridge("xenbr0"), True),
            "confirm": (host.confirm, False),
            "look": (sentinel.look, None),
        }
        call, answer = calls[verb]
        done: list[Any] = []
        faulthandler.dump_traceback_later(60, exit=True)  # what a call that kept the GIL would come to
        try:
            with lock_held(tmp_path / "state") as release:
                thread = threading.Thread(target=lambda: done.append(call()))
                thread.start()
                while not is_waiting_for_lock():
                    os.sched_yield()
                assert done == [] and oracle.link("xenbr0") is None
                assert not host.closed and "open" in repr(host)
                assert not sentinel.closed and "on the watch" in repr(sentinel)
                release()
                thread.join()
        finally:
            faulthandler.cancel_dump_traceback_later()
        assert done == [answer]

    def test_closing_waits_for_nobody(self, host: Host, tmp_path: Path) -> None:
        done: list[bool] = []
        with lock_held(tmp_path / "state") as release:
            thread = threading.Thread(target=lambda: done.append(host.create_bridge("xenbr0")))
            thread.start()
            while not is_waiting_for_lock():
                os.sched_yield()
            host.close()
            release()
            thread.join()
        assert done == [True], "a call that had begun ends as it would have"


class TestFork:
    def test_parent_and_child_work_side_by_side(self, host: Host) -> None:
        host.create_bridge("xenbr0")
        for vif in ("vif1.0", "vif2.0"):
            oracle.add_vif(vif)

        def work(vif: str, lock: Antispoof) -> list[bool]:
            attachment = Attachment(vif, bridge="xenbr0", lock=lock)
            return [changed for _ in range(25) for changed in (host.attach_vif(attachment), host.detach_vif(vif))]

        child = in_child(lambda: work("vif1.0", LOCK))
        assert work("vif2.0", Antispoof("00:16:3e:00:00:02")) == [True] * 50
        assert child() == [True] * 50
        assert host.attach_vif(Attachment("vif1.0", bridge="xenbr0", lock=LOCK)) is True
        assert oracle.ports("xenbr0") == {"vif1.0"}

    def test_without_a_state_directory_as_well(self, kernel: None) -> None:
        def both() -> tuple[list[bool], list[bool], list[str]]:
            # Nobody's user and network namespace: all power in there, and no default directory.
            libc = ctypes.CDLL(None, use_errno=True)
            assert libc.unshare(oracle.CLONE_NEWUSER | oracle.CLONE_NEWNET) == 0
            assert os.geteuid() != 0
            with Host() as host:

                def work(name: str) -> list[bool]:
                    return [changed for _ in range(25) for changed in (host.create_bridge(name), host.delete_bridge(name))]

                child = in_child(lambda: work("xenbr1"))
                return work("xenbr2"), child(), list(host.snapshot().links)

        assert in_child(both)() == ([True] * 50, [True] * 50, ["lo"])


def test_a_users_program(netns: None, tmp_path: Path) -> None:
    for vif in ("vif1.0", "vif2.0", "vif3.0"):
        oracle.add_vif(vif)
    program = Path(__file__).with_name("user_program.py")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(program), str(tmp_path)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert "~ sysctl net.ipv4.ip_forward: 0 -> 1" in lines
    assert "vif1.0 fe:ff:ff:ff:ff:ff ['10.98.98.2/32', '2001:db8:8::/64']" in lines
    for line in ("xenbr0 dns icmp", "xenbr1 dhcp tcp:8080", "vif3.0 closed", "tcp:8080 10.98.98.2 80 xenbr0"):
        assert line in lines
    for line in ("True True None", "xenbr2 network-bridge bridge=xenbr2 netdev=dummy0"):
        assert line in lines
    assert "vif3.0 from 10.98.98.9/32 by 10.0.3.128 1250000B/s@50000us" in lines
    assert oracle.link("xenbr0") is None and oracle.link("xenbr1") is None
    assert oracle.forwarding() == 0
