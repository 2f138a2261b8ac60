# SPDX-License-Identifier: Apache-2.0
"""process.user, the host name and the domain name, sysctl, personality."""

import os
import platform

from conformance.box import Box
from conformance.patch import linux, namespaces, process
from conformance.requirements import case, refusal


@case("SPEC-127", "SPEC-128")
def root_user(box: Box) -> None:
    facts = box.facts({}, uid="id -u", gid="id -g")
    box.same("SPEC-127", facts["uid"], "0")
    box.same("SPEC-128", facts["gid"], "0")


@case("SPEC-127", "SPEC-128", "SPEC-131", needs="root")
def other_user(box: Box) -> None:
    """All four ids of each kind, and the groups besides."""
    user = {"uid": 1234, "gid": 2345, "additionalGids": [10, 20, 4000000]}
    facts = box.facts(process(user=user), ids="grep -E '^(Uid|Gid|Groups):' /proc/$$/status")
    found = {line.split()[0]: line.split()[1:] for line in facts["ids"].splitlines()}
    box.same("SPEC-127", found.get("Uid:"), ["1234"] * 4)
    box.same("SPEC-128", found.get("Gid:"), ["2345"] * 4)
    missing = {"10", "20", "4000000"} - set(found.get("Groups:", []))
    box.holds("SPEC-131", not missing, f"no groups {missing}: {found.get('Groups:')}")


refusal("SPEC-127", process(user={"uid": None, "gid": 0}), label="absent")
refusal("SPEC-128", process(user={"gid": None, "uid": 0}), label="absent")


@case("SPEC-129", "SPEC-130")
def umask(box: Box) -> None:
    for value, text in ((0o77, "0077"), (0, "0000"), (0o22, "0022")):
        box.same("SPEC-129", box.fact(process(user={"umask": value}), "umask"), text)
    found = box.facts({}, {"umask": 0o35}, umask="umask")["umask"]
    box.same("SPEC-130", found, "0035", "the caller's is 035")


@case("SPEC-132", "SPEC-133")
def names(box: Box) -> None:
    facts = box.facts(
        {"hostname": "conformance-box", "domainname": "example.test"},
        host="hostname",
        domain="cat /proc/sys/kernel/domainname",
    )
    box.same("SPEC-132", facts["host"], "conformance-box")
    box.same("SPEC-133", facts["domain"], "example.test")
    box.holds("SPEC-132", os.uname().nodename != "conformance-box", "the host's name is changed")


refusal("SPEC-132", {"hostname": "x" * 65}, {"hostname": "x" * 64})
refusal("SPEC-133", {"domainname": "x" * 65}, {"domainname": "x" * 64})


@case("SPEC-291")
def sysctl(box: Box) -> None:
    values = {"net.ipv4.ip_forward": "1", "net.core.somaxconn": "321", "kernel.msgmax": "4321"}
    lines = {key.replace(".", "_"): f"cat /proc/sys/{key.replace('.', '/')}" for key in values}
    facts = box.facts(linux(sysctl=values), **lines)
    for key, value in values.items():
        box.same("SPEC-291", facts[key.replace(".", "_")], value, key)


GOOD = linux(sysctl={"net.core.somaxconn": "321"})
refusal("SPEC-292", linux(sysctl={"kernel.conformance": "1"}), GOOD)
refusal("SPEC-292", linux(sysctl={"net.core.somaxconn": "many"}), GOOD)
refusal("SPEC-292", linux(sysctl={"net.ipv4.conformance": "1"}), GOOD)


@case("SPEC-292")
def sysctl_of_the_host(box: Box) -> None:
    """One that has no namespace, with the value that it has: refused or not, nothing changes."""
    with open("/proc/sys/vm/overcommit_memory", encoding="ascii") as file:
        value = file.read().strip()
    box.refused("SPEC-292", linux(sysctl={"vm.overcommit_memory": value}), GOOD)


@case("SPEC-292", needs="root")
def sysctl_without_namespace(box: Box) -> None:
    """One of the network, where the network is the host's."""
    with open("/proc/sys/net/core/somaxconn", encoding="ascii") as file:
        value = file.read().strip()
    patch = namespaces("pid", "ipc", "uts", "mount")
    patch["linux"]["sysctl"] = {"net.core.somaxconn": value}
    box.refused("SPEC-292", patch, namespaces("pid", "ipc", "uts", "mount"))


@case("SPEC-320")
def personality(box: Box) -> None:
    facts = box.facts(linux(personality={"domain": "LINUX"}), name="uname -m", value="cat /proc/$$/personality")
    box.same("SPEC-320", facts["name"], platform.machine(), "LINUX")
    if platform.machine() in {"x86_64", "aarch64"}:
        found = box.fact(linux(personality={"domain": "LINUX32"}), "uname -m")
        box.holds("SPEC-320", found in {"i686", "i386", "armv8l", "armv7l"}, f"LINUX32: uname -m is {found}")


PERSONALITY = linux(personality={"domain": "LINUX"})
refusal("SPEC-320", linux(personality={"domain": "PLAN9"}), PERSONALITY)
refusal("SPEC-320", linux(personality={"flags": []}), PERSONALITY)
refusal("SPEC-321", linux(personality={"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]}), PERSONALITY)
