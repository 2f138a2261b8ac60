# SPDX-License-Identifier: Apache-2.0
"""SPEC-208 to SPEC-216: network devices of the host, here one end of a veth pair, in a container."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.containers.box import Box, Patch, wait_for

pytestmark = pytest.mark.skipif(shutil.which("ip") is None, reason="needs ip (iproute2)")
ADDRESSES = ["10.99.7.1/24", "10.99.7.2/24", "fd99::7/64"]


def ip(*words: str, check: bool = True) -> Any:
    done = subprocess.run(["ip", "-json", *words], capture_output=True, text=True, check=check)
    return json.loads(done.stdout) if done.stdout.strip() else []


@pytest.fixture
def device() -> Iterator[str]:
    """A veth with addresses, which is up; its other end stays on the host."""
    name = f"ptest{os.getpid() % 10000}"
    ip("link", "add", name, "mtu", "1400", "type", "veth", "peer", "name", f"{name}p")
    try:
        for address in ADDRESSES:
            ip("address", "add", address, "dev", name)
        ip("address", "add", "10.99.8.1/32", "peer", "10.99.8.2", "label", f"{name}:x", "dev", name)
        ip("address", "add", "10.99.9.1/24", "dev", name, "valid_lft", "500", "preferred_lft", "500")
        ip("address", "add", "169.254.7.7/16", "scope", "link", "dev", name)
        ip("link", "set", name, "up")
        ip("link", "set", f"{name}p", "up")
        yield name
    finally:
        ip("link", "delete", f"{name}p", check=False)


def devices(**rows: Patch) -> Patch:
    return {"linux": {"netDevices": rows}}


def look(box: Box) -> dict[str, Any]:
    """The interfaces of the container, seen by the host's ip."""
    command = ["nsenter", f"--net=/proc/{box.pid}/ns/net", "ip", "-json", "address"]
    rows = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return {row["ifname"]: row for row in rows}


def addresses(row: Any) -> list[str]:
    return sorted(f"{info['local']}/{info['prefixlen']}" for info in row["addr_info"] if info["scope"] == "global")


@pytest.mark.parametrize("mapped", [False, True], ids=["no user namespace", "user namespace"])
@pytest.mark.parametrize(
    ("row", "name"), [({}, None), ({"name": "eth7"}, "eth7"), ({"name": "eth%d"}, "eth0"), ({"name": ""}, None)]
)
def test_a_device_moves_in(box: Box, device: str, mapped: bool, row: Patch, name: str | None) -> None:
    before = ip("link", "show", device)[0]
    patch = devices(**{device: row})
    if mapped:
        ids = {"containerID": 0, "hostID": 100000, "size": 65536}
        patch["linux"] |= {"+namespaces": [{"type": "user"}], "uidMappings": [ids], "gidMappings": [ids]}
    box.create(patch, "sleep", "60")
    inside = look(box)[name or device]
    assert (inside["mtu"], inside["address"]) == (1400, before["address"])
    assert "UP" in inside["flags"]
    assert addresses(inside) == sorted([*ADDRESSES, "10.99.8.1/32"])
    peer = next(info for info in inside["addr_info"] if info["local"] == "10.99.8.1")
    assert (peer["address"], peer["label"]) == ("10.99.8.2", f"{name or device}:x")
    assert not ip("link", "show", device, check=False)
    box.start()
    box.delete("--force")


def test_the_container_can_use_it(box: Box, device: str) -> None:
    ip("address", "add", "10.99.7.100/24", "dev", f"{device}p")
    patch = devices(**{device: {"name": "eth0"}})
    out = box.run(patch, "sleep 0.5; nc -w 2 10.99.7.100 1 2>&1; cat /proc/net/arp").out
    assert "10.99.7.100" in out


def test_several_devices_and_templates(box: Box, device: str) -> None:
    other = f"{device}b"
    ip("link", "add", other, "type", "veth", "peer", "name", f"{other}p")
    try:
        patch = devices(**{device: {"name": "net%d"}, other: {"name": "net%d"}})
        box.create(patch, "sleep", "60")
        assert set(look(box)) == {"lo", "net0", "net1"}
        box.delete("--force")
    finally:
        ip("link", "delete", f"{other}p", check=False)


@pytest.fixture
def namespace() -> Iterator[Path]:
    """A network namespace that outlives the container."""
    with subprocess.Popen(["unshare", "--net", "sleep", "100"]) as holder:
        path = Path(f"/proc/{holder.pid}/ns/net")
        ours = os.readlink("/proc/self/ns/net")
        wait_for(lambda: os.readlink(path) != ours)
        yield path
        holder.kill()


def inside(namespace: Path, *words: str) -> Any:
    command = ["nsenter", f"--net={namespace}", "ip", "-json", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout) if done.stdout.strip() else []


def by_path(namespace: Path, **rows: Patch) -> Patch:
    names = [{"type": name} for name in ("pid", "ipc", "uts", "mount")]
    return {"linux": {"namespaces": [*names, {"type": "network", "path": str(namespace)}], "netDevices": rows}}


def test_a_name_that_is_taken_is_an_error(namespace: Path, device: str, box: Box) -> None:
    """And the device is where it was."""
    inside(namespace, "link", "add", "eth0", "type", "veth", "peer", "name", "other")
    error = box.refused(by_path(namespace, **{device: {"name": "eth0"}}))
    pointer = f"/linux/netDevices/{device}"
    assert error == f"pyrunc: {pointer}: an interface of the name eth0 is in the container already"
    assert addresses(ip("address", "show", device)[0])
    box.run(by_path(namespace, **{device: {"name": "eth%d"}}), "true")
    assert addresses(inside(namespace, "address", "show", "eth1")[0])


def test_a_joined_namespace_keeps_the_device(namespace: Path, device: str, box: Box) -> None:
    """SPEC-216: the runtime takes nothing out again, not even by delete."""
    box.start(by_path(namespace, **{device: {}}), "sleep", "60")
    box.delete("--force")
    assert len(addresses(inside(namespace, "address", "show", device)[0])) == 4


@pytest.mark.parametrize("mapped", [False, True], ids=["no user namespace", "user namespace"])
def test_a_create_that_fails_gives_it_back(device: str, box: Box, mapped: bool) -> None:
    before = ip("address", "show", device)[0]
    patch = devices(**{device: {"name": "eth%d"}})
    if mapped:
        ids = {"containerID": 0, "hostID": 100000, "size": 65536}
        patch["linux"] |= {"+namespaces": [{"type": "user"}], "uidMappings": [ids], "gidMappings": [ids]}
    assert "/process/args/0" in box.refused(patch, "/no/such/program", "x")
    after = ip("address", "show", device)[0]
    assert addresses(after) == sorted([*ADDRESSES, "10.99.8.1/32"])
    assert {key: after[key] for key in ("ifindex", "mtu", "address")} == {
        key: before[key] for key in ("ifindex", "mtu", "address")
    }
    assert "UP" in after["flags"]


def test_a_second_device_that_fails_brings_the_first_back(namespace: Path, device: str, box: Box) -> None:
    other = f"{device}b"
    ip("link", "add", other, "type", "veth", "peer", "name", f"{other}p")
    try:
        inside(namespace, "link", "add", "taken", "type", "veth", "peer", "name", "taken2")
        assert "in the container already" in box.refused(by_path(namespace, **{device: {}, other: {"name": "taken"}}))
        assert len(addresses(ip("address", "show", device)[0])) == 4
    finally:
        ip("link", "delete", other, check=False)


def test_delete_force_after_a_killed_create(namespace: Path, device: str, box: Box) -> None:
    """A hook of the host waits: the runtime is killed then, and with it the helper."""
    hook = {"path": "/bin/sleep", "args": ["sleep", "30"]}
    box.write(by_path(namespace, **{device: {"name": "eth%d"}}) | {"hooks": {"createRuntime": [hook]}}, "true")
    process = box.spawn("create", "--bundle", box.bundle, box.id)
    wait_for(lambda: not ip("link", "show", device, check=False))
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    for pid in Path("/proc").glob("[0-9]*"):
        if (pid / "cmdline").exists() and (pid / "cmdline").read_bytes() == b"sleep\x0030\0":
            os.kill(int(pid.name), signal.SIGKILL)
    assert inside(namespace, "link", "show", "eth0")
    box.delete("--force")
    after = ip("address", "show", device)[0]
    assert len(addresses(after)) == 4
    assert "UP" in after["flags"]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ({"nosuchdev": {}}, "/linux/netDevices/nosuchdev: there is no network device nosuchdev"),
        ({"lo": {}}, "/linux/netDevices/lo: the loopback"),
        ({"a/b": {}}, '/linux/netDevices/a~1b: "a/b" is not the name of an interface'),
        ({"x" * 16: {}}, "is not the name of an interface"),
        ({"": {}}, '/linux/netDevices/: "" is not'),
        ({"a%d": {}}, '"a%d" is not the name'),
        ({"a": {"name": "b c"}}, '/linux/netDevices/a/name: "b c" is not the name of an interface'),
        ({"a": {"name": "x" * 16}}, "/linux/netDevices/a/name: "),
        ({"a": {"name": ".."}}, "/linux/netDevices/a/name: "),
        ({"a": {"name": "%d%d"}}, "/linux/netDevices/a/name: "),
        ({"a": {"name": "%s"}}, "/linux/netDevices/a/name: "),
        ({"a": {"name": "x"}, "b": {"name": "x"}}, "/linux/netDevices/b/name: another device gets the name x"),
        ({"a": {"name": 1}}, "/linux/netDevices/a/name: must be a string"),
        ({"a": 1}, "/linux/netDevices/a: must be an object"),
    ],
    ids=str,
)
def test_what_is_refused(box: Box, rows: Patch, words: str) -> None:
    assert words in box.refused(devices(**rows))


@pytest.mark.parametrize("path", [None, "/proc/self/ns/net"])
def test_the_hosts_network_is_refused(box: Box, device: str, path: str | None) -> None:
    patch = by_path(Path("/proc/self/ns/net"), **{device: {}})
    if path is None:
        patch["linux"]["namespaces"].pop()
    error = box.refused(patch)
    assert error == "pyrunc: /linux/netDevices: unable to move network devices without a private NET namespace"


def test_no_devices_are_nothing(box: Box) -> None:
    assert box.run(devices(), "echo ran").out == "ran"
