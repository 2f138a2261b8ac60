# SPDX-License-Identifier: Apache-2.0
"""SPEC-188, SPEC-189, SPEC-198: containers of root whose ids are mapped."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.containers.box import Box, Patch, combine, wait_for

BASE = 300000


def mapped(patch: Patch | None = None) -> Patch:
    rows = [{"containerID": 0, "hostID": BASE, "size": 65536}]
    linux = {"+namespaces": [{"type": "user"}], "uidMappings": rows, "gidMappings": rows}
    return combine({"linux": linux}, patch or {})


@pytest.fixture(autouse=True)
def _owned(box: Box) -> None:
    for folder, names, files in os.walk(box.rootfs):
        for name in (".", *names, *files):
            if not (folder.endswith("/bin") and name in {"busybox", "guest"}):
                os.lchown(f"{folder}/{name}", BASE, BASE)


def test_the_maps(box: Box) -> None:
    found = box.run(mapped(), "cat /proc/self/uid_map /proc/self/gid_map").out.split()
    assert found == ["0", str(BASE), "65536"] * 2


def test_several_rows(box: Box) -> None:
    rows = [{"containerID": 0, "hostID": BASE, "size": 10}, {"containerID": 10, "hostID": BASE + 50, "size": 5}]
    found = box.run(mapped({"linux": {"uidMappings": rows}}), "cat /proc/self/uid_map").out.split()
    assert found == ["0", str(BASE), "10", "10", str(BASE + 50), "5"]


def test_files_belong_to_the_mapped_ids(box: Box) -> None:
    box.run(mapped({"process": {"user": {"uid": 5, "gid": 6}}}), "touch /tmp/file; stat -c %u:%g /tmp/file")
    facts = (box.rootfs / "tmp/file").stat()
    assert (facts.st_uid, facts.st_gid) == (BASE + 5, BASE + 6)


def test_the_process_is_the_mapped_user_on_the_host(box: Box) -> None:
    box.start(mapped(), "sleep 100")
    assert Path(f"/proc/{box.pid}").stat().st_uid in {BASE, 0}
    assert f"Uid:\t{BASE}\t" in Path(f"/proc/{box.pid}/status").read_text()


def test_devices_are_the_hosts_nodes(box: Box) -> None:
    found = box.run(mapped(), "echo > /dev/null; head -c3 /dev/zero | wc -c; stat -c '%t:%T' /dev/full /dev/tty").lines
    assert found == ["3", "1:7", "5:0"]


@pytest.mark.parametrize("name", ["null", "zero", "full", "random", "urandom", "tty"])
def test_devices_have_no_more_rights_than_made_ones(box: Box, name: str) -> None:
    """Whatever the host's /dev is mounted with."""
    options = box.run(mapped(), f"grep ' /dev/{name} ' /proc/self/mountinfo").out.split()[5].split(",")
    assert {"nosuid", "noexec"} <= set(options)


def test_a_configured_device_is_bound(box: Box) -> None:
    device = {"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11}
    assert box.run(mapped({"linux": {"devices": [device]}}), "stat -c %t:%T /dev/kmsg").out == "1:b"


def test_a_bind_source_that_only_the_caller_may_reach(box: Box, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    (secret / "data").mkdir(parents=True)
    (secret / "data/file").write_text("reached")
    secret.chmod(0o700)
    row = {"destination": "/mnt", "source": str(secret / "data"), "options": ["bind"]}
    assert box.run(mapped({"+mounts": [row]}), "cat /mnt/file").out == "reached"


def test_mounts_of_a_user_namespace(box: Box) -> None:
    rows = [
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue"},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["mode=1777"]},
    ]
    assert box.run(mapped({"+mounts": rows}), "ls -d /sys/class; stat -c %u:%a /dev/shm").lines == [
        "/sys/class",
        "0:1777",
    ]


def test_masks_and_readonly_paths(box: Box) -> None:
    linux = {"maskedPaths": ["/proc/keys", "/proc/acpi"], "readonlyPaths": ["/proc/sys"]}
    found = box.run(mapped({"linux": linux}), "cat /proc/keys; echo 1 > /proc/sys/kernel/core_uses_pid", status=1)
    assert "Read-only" in found.err
    assert found.out == ""


def test_names_and_sysctl(box: Box) -> None:
    patch = mapped({"hostname": "mapped", "linux": {"sysctl": {"net.ipv4.ip_forward": "1"}}})
    assert box.run(patch, "hostname; cat /proc/sys/net/ipv4/ip_forward").lines == ["mapped", "1"]


def test_capabilities_are_of_the_namespace(box: Box) -> None:
    sets = {name: ["CAP_SYS_ADMIN"] for name in ("bounding", "effective", "permitted")}
    patch = mapped({"process": {"capabilities": sets}})
    assert "CapEff:\t0000000000200000" in box.run(patch, "cat", "/proc/self/status").out


def test_exec_is_in_the_namespace(box: Box) -> None:
    box.start(mapped(), "sleep 100")
    assert box.exec("id -u; cat /proc/self/uid_map").out.split() == ["0", "0", str(BASE), "65536"]


def test_a_namespace_by_path(box: Box) -> None:
    map_file = "0 300000 65536"
    holder = subprocess.Popen(["unshare", "--user", "sleep", "100"])
    try:
        wait_for(lambda: os.readlink(f"/proc/{holder.pid}/ns/user") != os.readlink("/proc/self/ns/user"))
        Path(f"/proc/{holder.pid}/uid_map").write_text(map_file)
        Path(f"/proc/{holder.pid}/gid_map").write_text(map_file)
        patch = {"linux": {"+namespaces": [{"type": "user", "path": f"/proc/{holder.pid}/ns/user"}]}}
        seen = os.readlink(f"/proc/{holder.pid}/ns/user")
        assert box.run(patch, "readlink /proc/self/ns/user; id -u").lines == [seen, "0"]
    finally:
        holder.kill()
        holder.wait()


@pytest.mark.parametrize("field", ["uidMappings", "gidMappings"])
def test_a_new_namespace_needs_both_maps(box: Box, field: str) -> None:
    assert f"/linux/{field}" in box.refused(mapped({"linux": {field: None}}))


def test_maps_need_a_namespace(box: Box) -> None:
    rows = [{"containerID": 0, "hostID": BASE, "size": 65536}]
    assert "/linux/uidMappings" in box.refused({"linux": {"uidMappings": rows}})


def test_a_user_without_mapping_is_an_error(box: Box) -> None:
    assert "/process/user/uid" in box.refused(mapped({"process": {"user": {"uid": 70000, "gid": 0}}}))


def test_overlapping_rows_are_an_error(box: Box) -> None:
    rows = [{"containerID": 0, "hostID": BASE, "size": 10}, {"containerID": 5, "hostID": BASE, "size": 10}]
    assert "/linux/uidMappings" in box.refused(mapped({"linux": {"uidMappings": rows}}))


def test_a_terminal_belongs_to_the_mapped_user(box: Box) -> None:
    assert box.run(mapped(), "stat -c %u /dev/pts").out == "0"


def test_groups_of_the_caller_stay_when_podman_asks_for_it(box: Box) -> None:
    """Those that no map has are shown as the overflow id, and still give their rights."""
    (box.rootfs / "secret").write_text("read")
    os.chown(box.rootfs / "secret", 0, 7)
    (box.rootfs / "secret").chmod(0o040)
    line = "cat /secret; sed -n 's/^Groups://p' /proc/self/status"
    patch = mapped({"annotations": {"run.oci.keep_original_groups": "1"}})
    assert box.run(patch, line, extra_groups=[7]).out.split() == ["read", "65534"]


def test_devices_have_their_own_nodes(box: Box) -> None:
    """The host need not have such a path; owner and mode are those of the config, umask and host regardless."""
    devices: list[Patch] = [
        {"path": "/dev/foo", "type": "c", "major": 1, "minor": 5, "uid": 10, "gid": 11, "fileMode": 0o157},
        {"path": "/dev/deep/disk", "type": "b", "major": 1, "minor": 5},
        {"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "uid": 7},
        {"path": "/dev/pipe", "type": "p"},
    ]
    found = box.run(
        mapped({"linux": {"devices": devices}}),
        "cd /dev; stat -c '%n %F %t:%T %u:%g %a' foo deep/disk null pipe; head -c 2 foo | wc -c; ls /",
    )
    assert found.lines[:5] == [
        "foo character special file 1:5 10:11 157",
        "deep/disk block special file 1:5 0:0 666",
        "null character special file 1:3 7:0 666",
        "pipe fifo 0:0 0:0 666",
        "2",
    ]
    assert "bin" in found.lines


def test_the_owner_of_a_device_is_mapped(box: Box) -> None:
    device = {"path": "/dev/foo", "type": "c", "major": 1, "minor": 5, "gid": 70000}
    error = box.refused(mapped({"linux": {"devices": [device]}}), "true")
    assert error == "pyrunc: /linux/devices/0/gid: 70000 is not mapped in the user namespace"
