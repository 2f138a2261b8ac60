# SPDX-License-Identifier: Apache-2.0
"""SPEC-001 to SPEC-011: the bundle and its root."""

import json

import pytest

from tests.containers.box import Box


def test_path_relative_to_the_bundle(box: Box) -> None:
    (box.rootfs / "mark").write_text("here")
    assert box.run({"root": {"path": "rootfs"}}, "cat /mark").out == "here"


def test_path_absolute(box: Box) -> None:
    (box.rootfs / "mark").write_text("here")
    assert box.run({"root": {"path": str(box.rootfs)}}, "cat /mark").out == "here"


def test_path_by_a_symlink_of_the_bundle(box: Box) -> None:
    (box.bundle / "link").symlink_to("rootfs")
    assert box.run({"root": {"path": "link"}}, "ls -d /bin").out == "/bin"


def test_the_root_is_writable_by_default(box: Box) -> None:
    box.run({}, "echo made > /file")
    assert (box.rootfs / "file").read_text() == "made\n"


def test_readonly(box: Box) -> None:
    result = box.run({"root": {"readonly": True}}, "touch /file", status=1)
    assert "Read-only file system" in result.err
    assert not (box.rootfs / "file").exists()


def test_readonly_leaves_other_mounts_writable(box: Box) -> None:
    mount = {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}
    box.run({"root": {"readonly": True}, "+mounts": [mount]}, "touch /tmp/file /dev/file")


def test_the_host_is_out_of_reach(box: Box) -> None:
    assert box.run({}, "ls /..").out.split() == ["bin", "dev", "etc", "proc", "root", "sys", "tmp"]


def test_the_working_directory_of_the_runtime_does_not_matter(box: Box) -> None:
    box.write({}, "pwd")
    assert box.pyrunc("run", box.id, cwd=box.bundle).out == "/"


@pytest.mark.parametrize("path", ["", "missing", "config.json"])
def test_a_path_that_is_no_directory_is_refused(box: Box, path: str) -> None:
    assert "/root/path" in box.refused({"root": {"path": path}})


def test_a_root_is_required(box: Box) -> None:
    assert "/root" in box.refused({"root": None})


def test_a_bundle_without_config_is_refused(box: Box) -> None:
    assert "config.json" in box.pyrunc("run", "--bundle", box.bundle, box.id, status=1).err
    box.check_clean()


@pytest.mark.parametrize("version", [None, "", "1", "1.0", "2.0.0", "one"])
def test_versions_that_are_refused(box: Box, version: str | None) -> None:
    assert "/ociVersion" in box.refused({"ociVersion": version})


def test_duplicate_members_are_refused(box: Box) -> None:
    box.write({})
    file = box.bundle / "config.json"
    file.write_text(file.read_text().replace('{"ociVersion"', '{"hostname": "a", "hostname": "b", "ociVersion"', 1))
    assert "hostname" in box.pyrunc("run", "--bundle", box.bundle, box.id, status=1).err


def test_other_encodings_are_refused(box: Box) -> None:
    box.write({"hostname": "bx"})
    file = box.bundle / "config.json"
    file.write_bytes(json.dumps(json.loads(file.read_text())).encode("utf-16"))
    assert "UTF-8" in box.pyrunc("run", "--bundle", box.bundle, box.id, status=1).err


def test_unknown_properties_are_ignored(box: Box) -> None:
    patch = {"com.example": 1, "process": {"example": {}}, "linux": {"example": []}, "vm": {}, "windows": {}}
    assert box.run(patch, "echo ran").out == "ran"
