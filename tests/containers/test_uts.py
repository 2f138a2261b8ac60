# SPDX-License-Identifier: Apache-2.0
"""SPEC-132, SPEC-133: host and domain name of the UTS namespace."""

from pathlib import Path

from tests.containers.box import Box


def test_hostname_and_domainname(box: Box) -> None:
    host = Path("/proc/sys/kernel/hostname").read_text()
    inside = "cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname"
    assert box.run({"hostname": "box", "domainname": "example"}, inside).lines == ["box", "example"]
    assert Path("/proc/sys/kernel/hostname").read_text() == host


def test_without_them_the_names_are_the_hosts(box: Box) -> None:
    assert box.run({}, "hostname").out == Path("/proc/sys/kernel/hostname").read_text().strip()


def test_a_hostname_needs_a_uts_namespace(box: Box) -> None:
    patch = {"hostname": "box", "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}]}}
    assert "/hostname" in box.refused(patch)
