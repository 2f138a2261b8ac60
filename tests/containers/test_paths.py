# SPDX-License-Identifier: Apache-2.0
"""SPEC-315 to SPEC-318: masked and read-only paths."""

import pytest

from tests.containers.box import Box, Patch


def masked(*paths: str) -> Patch:
    return {"linux": {"maskedPaths": list(paths)}}


def readonly(*paths: str) -> Patch:
    return {"linux": {"readonlyPaths": list(paths)}}


@pytest.fixture(autouse=True)
def _data(box: Box) -> None:
    (box.rootfs / "data").mkdir()
    (box.rootfs / "data/secret").write_text("secret")
    (box.rootfs / "link").symlink_to("data")


def test_a_masked_file_is_empty(box: Box) -> None:
    found = box.run(masked("/data/secret"), "cat /data/secret; stat -c %t:%T /data/secret")
    assert found.out == "1:3"


def test_a_masked_directory_is_empty_and_readonly(box: Box) -> None:
    found = box.run(masked("/data"), "ls /data; touch /data/file", status=1)
    assert found.out == ""
    assert "Read-only" in found.err


def test_files_of_proc(box: Box) -> None:
    assert box.run(masked("/proc/keys", "/proc/timer_list", "/proc/irq"), "cat /proc/keys; ls /proc/irq").out == ""


def test_a_missing_path_is_no_error_and_is_not_made(box: Box) -> None:
    assert box.run(masked("/missing", "/data/secret/below"), "ls -d /missing", status=1).err != ""
    assert not (box.rootfs / "missing").exists()


def test_a_path_through_a_link(box: Box) -> None:
    assert box.run(masked("/link/secret"), "cat /data/secret").out == ""


def test_several_directories(box: Box) -> None:
    found = box.run(masked("/data", "/etc", "/root", "/tmp"), "for d in data etc root tmp; do ls /$d; done")
    assert found.out == ""


def test_null_of_the_image_is_not_what_masks(box: Box) -> None:
    """CVE-2025-31133: a /dev/null that the image makes must not be laid over masked paths."""
    (box.rootfs / "dev/null").symlink_to("/data/secret")
    rows = [{"destination": "/proc", "type": "proc", "source": "proc"}]
    result = box.run(masked("/proc/keys") | {"mounts": rows}, "cat /proc/keys", status=None)
    assert result.out == ""


def test_a_readonly_file(box: Box) -> None:
    found = box.run(readonly("/data/secret"), "cat /data/secret; echo x > /data/secret", status=1)
    assert found.out == "secret"
    assert "Read-only" in found.err


def test_a_readonly_directory(box: Box) -> None:
    found = box.run(readonly("/data"), "touch /tmp/ok; touch /data/file", status=1)
    assert "/data/file: Read-only" in found.err


def test_a_readonly_tree_with_mounts_below(box: Box) -> None:
    row = {"destination": "/data/mnt", "type": "tmpfs", "source": "tmpfs"}
    found = box.run(readonly("/data") | {"+mounts": [row]}, "touch /data/file; touch /data/mnt/file", status=None)
    assert "/data/file: Read-only" in found.err


def test_proc_sys(box: Box) -> None:
    command = "echo 1 > /proc/sys/net/ipv4/ip_forward"
    assert "Read-only" in box.run(readonly("/proc/sys", "/proc/missing"), command, status=1).err


@pytest.mark.parametrize("field", ["maskedPaths", "readonlyPaths"])
def test_relative_paths_are_refused(box: Box, field: str) -> None:
    assert f"/linux/{field}/1" in box.refused({"linux": {field: ["/x", "data"]}})


def test_masks_cannot_be_taken_away(box: Box) -> None:
    assert "not permitted" in box.run(masked("/data"), "umount /data", status=1).err.lower()
