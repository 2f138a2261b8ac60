# SPDX-License-Identifier: Apache-2.0
"""linux.netDevices: interfaces of the host that move into the container. Made of veth pairs in a network of our own."""

import contextlib
import os
import subprocess
from collections.abc import Iterator

from conformance import host
from conformance.box import Box
from conformance.patch import linux
from conformance.requirements import Failed, Skipped, case

CLONE_NEWNET = 0x40000000
NEEDS = "root cap:CAP_NET_ADMIN"


def ip(*words: str) -> str:
    """`ip` of busybox or of the host, which has to know veth."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Skipped(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


@contextlib.contextmanager
def network(box: Box) -> Iterator[tuple[str, str]]:
    """The runtime is called in a new network namespace that has a veth pair; its two names."""
    before = os.open("/proc/self/ns/net", os.O_RDONLY)
    if host.LIBC.unshare(CLONE_NEWNET) != 0:
        raise Failed("no network namespace")
    try:
        ip("link", "add", "conf0", "type", "veth", "peer", "name", "conf1")
        yield "conf0", "conf1"
    except FileNotFoundError:
        raise Skipped("no program `ip`") from None
    finally:
        box.clean()
        host.LIBC.setns(before, CLONE_NEWNET)
        os.close(before)


SHOW = "ls /sys/class/net 2>/dev/null; cat /proc/net/dev | cut -d: -f1"


def names(text: str) -> set[str]:
    return {line.strip() for line in text.splitlines() if line.strip().startswith(("conf", "new", "eth"))}


@case("SPEC-208", "SPEC-209", needs=NEEDS)
def moved(box: Box) -> None:
    for value, expected in (({}, {"conf0"}), ({"name": "new0"}, {"new0"})):
        with network(box):
            found = names(box.fact(linux(netDevices={"conf0": value}), SHOW))
            for id in ("SPEC-208", "SPEC-209"):
                box.same(id, found, expected, f"interfaces inside with {value}")


@case("SPEC-213", "SPEC-214", needs=NEEDS)
def as_it_was(box: Box) -> None:
    """Addresses of global scope, the MTU and the hardware address come with it, and it is up."""
    with network(box):
        ip("link", "set", "conf0", "address", "02:00:00:00:00:77")
        ip("link", "set", "conf0", "mtu", "1400")
        ip("addr", "add", "192.0.2.7/24", "dev", "conf0")
        with contextlib.suppress(Skipped):
            ip("-6", "addr", "add", "2001:db8::7/64", "dev", "conf0", "nodad")
        six = "2001:db8::7" in ip("addr", "show", "dev", "conf0")
        found = box.fact(linux(netDevices={"conf0": {"name": "new0"}}), "ip addr show new0")
    words = found.split()
    expected = ["192.0.2.7/24", *(["2001:db8::7/64"] if six else []), "02:00:00:00:00:77"]
    box.holds("SPEC-213", set(expected) <= set(words) and "mtu 1400" in found, f"inside: {found}")
    flags = found[found.find("<") : found.find(">")]
    box.holds("SPEC-214", "UP" in flags.strip("<").split(","), f"the interface is {flags}>")


@case("SPEC-215", needs=NEEDS)
def left_alone(box: Box) -> None:
    """What somebody else alters between create and start stays as it is."""
    with network(box):
        box.create(linux(netDevices={"conf0": {}}), "ip link show conf0")
        own, inner = (os.open(f"/proc/{pid}/ns/net", os.O_RDONLY) for pid in ("self", box.pid()))
        host.LIBC.setns(inner, CLONE_NEWNET)
        try:
            ip("link", "set", "conf0", "down")
            ip("link", "set", "conf0", "mtu", "1300")
        finally:
            host.LIBC.setns(own, CLONE_NEWNET)
            os.close(own)
            os.close(inner)
        box.start()
        box.ended()
        found = box.output()
        flags = found[found.find("<") + 1 : found.find(">")].split(",")
        box.holds("SPEC-215", "mtu 1300" in found and "UP" not in flags, f"inside: {found}")


@case("SPEC-210", needs=NEEDS)
def impossible(box: Box) -> None:
    """An interface that is not there, and a container without a network of its own."""
    with network(box):
        good = linux(netDevices={"conf0": {}})
        if names(box.fact(good, SHOW)) != {"conf0"}:
            raise Failed("an interface that is there is not moved, either")
        refused = [linux(netDevices={"conf9": {}})]
        rows = [row for row in box.write({})["linux"]["namespaces"] if row["type"] != "network"]
        refused.append(linux(netDevices={"conf1": {}}, namespaces=rows))
        for patch in refused:
            before = box.snapshot()
            box.judge_refusal("SPEC-210", box.try_create(patch, "true"), before)


@case("SPEC-211", "SPEC-212", needs=NEEDS)
def names_that_are_taken(box: Box) -> None:
    """Lo is in every network namespace; a template leaves the number to the kernel."""
    with network(box):
        found = names(box.fact(linux(netDevices={"conf0": {"name": "new%d"}, "conf1": {"name": "new%d"}}), SHOW))
        box.same("SPEC-212", found, {"new0", "new1"}, "with templates")
    with network(box):
        before = box.snapshot()
        box.judge_refusal("SPEC-211", box.try_create(linux(netDevices={"conf0": {"name": "lo"}}), "true"), before)


@case("SPEC-216", needs=NEEDS)
def stays(box: Box) -> None:
    """Delete does not bring it back: with the namespace a virtual one ends."""
    with network(box):
        box.start(linux(netDevices={"conf0": {}}), "sleep 600")
        if "conf0" in ip("link"):
            raise Failed("the interface is not moved")
        box.kill()
        box.delete()
        box.holds("SPEC-216", "conf0:" not in ip("link") and "conf0@" not in ip("link"), "it came back")
