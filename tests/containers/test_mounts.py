# SPDX-License-Identifier: Apache-2.0
"""SPEC-012 to SPEC-020: where mounts go, in which order, and which are bind mounts."""

import shutil
from pathlib import Path

import pytest

from tests.containers.box import Box, Patch


def mount(destination: str, kind: str = "tmpfs", source: object = "tmpfs", *options: str) -> Patch:
    row: Patch = {"destination": destination, "type": kind, "source": str(source), "options": list(options)}
    return {"+mounts": [row]}


PROC: Patch = {"destination": "/proc", "type": "proc", "source": "proc"}


def both(*patches: Patch) -> Patch:
    return {"+mounts": [row for patch in patches for row in patch["+mounts"]]}


def test_the_order_is_the_listed_one(box: Box) -> None:
    first, second = mount("/mnt", "tmpfs", "first"), mount("/mnt", "tmpfs", "second")
    assert box.run(both(first, second), "grep ' /mnt ' /proc/mounts | cut -d' ' -f1").lines == ["first", "second"]


def test_a_later_mount_below_an_earlier_one(box: Box) -> None:
    patch = both(mount("/mnt"), mount("/mnt/below", "tmpfs", "below"))
    assert box.run(patch, "ls /mnt; touch /mnt/below/file").out == "below"
    assert list((box.rootfs / "mnt").iterdir()) == []


def test_an_earlier_mount_below_is_covered(box: Box) -> None:
    assert box.run(both(mount("/mnt/below"), mount("/mnt")), "ls /mnt").out == ""


def test_a_relative_destination_begins_at_the_root(box: Box) -> None:
    assert box.run(mount("mnt/deep"), "grep -c ' /mnt/deep tmpfs ' /proc/mounts").out == "1"


def test_a_relative_source_begins_at_the_bundle(box: Box) -> None:
    (box.bundle / "data").mkdir()
    (box.bundle / "data/file").write_text("of the bundle")
    assert box.run(mount("/mnt", "bind", "data", "bind"), "cat /mnt/file").out == "of the bundle"


@pytest.mark.parametrize("kind", ["bind", "none", "tmpfs", "no-such-type", ""])
@pytest.mark.parametrize("option", ["bind", "rbind"])
def test_an_option_makes_a_bind_mount_whatever_the_type(box: Box, kind: str, option: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("bound")
    assert box.run(mount("/mnt", kind, tmp_path, option), "cat /mnt/file").out == "bound"


def test_the_type_bind_alone_makes_none(box: Box, tmp_path: Path) -> None:
    assert "/mounts/3" in box.refused(mount("/mnt", "bind", tmp_path))


def test_a_file_is_bound_on_a_file_that_is_made(box: Box, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("names")
    assert box.run(mount("/etc/new/hosts", "bind", tmp_path / "hosts", "bind"), "cat /etc/new/hosts").out == "names"


def test_a_directory_cannot_be_bound_on_a_file(box: Box, tmp_path: Path) -> None:
    (box.rootfs / "etc/hosts").write_text("")
    error = box.refused(mount("/etc/hosts", "bind", tmp_path, "bind"))
    assert error.startswith("pyrunc: /mounts/3: ")
    assert "a directory cannot be mounted on a file" in error


def test_a_missing_source_is_an_error(box: Box) -> None:
    error = box.refused(mount("/mnt", "bind", "/no/such", "bind"))
    assert "/mounts/3" in error
    assert "/no/such" in error


def test_bind_leaves_out_what_is_mounted_below(box: Box) -> None:
    assert "pts" in box.run(mount("/mnt", "bind", "/dev", "rbind", "ro"), "grep ' /mnt/pts ' /proc/mounts").out
    assert box.run(mount("/mnt", "bind", "/dev", "bind", "ro"), "grep ' /mnt/' /proc/mounts", status=1).out == ""


def test_destinations_through_symlinks_stay_in_the_root(box: Box) -> None:
    (box.rootfs / "link").symlink_to("/../../../tmp")
    assert box.run(mount("/link/inner"), "ls -d /tmp/inner; grep -c ' /tmp/inner ' /proc/mounts").lines[1] == "1"
    assert (box.rootfs / "tmp/inner").is_dir()


def test_dots_in_a_destination(box: Box) -> None:
    assert box.run(mount("/a/../../b/./c//"), "grep -c ' /b/c ' /proc/mounts").out == "1"


@pytest.mark.parametrize(
    ("kind", "destination"),
    [("proc", "/proc"), ("sysfs", "/sys"), ("tmpfs", "/mnt"), ("mqueue", "/dev/mqueue"), ("devpts", "/mnt/pts")],
)
def test_file_systems_of_the_kernel(box: Box, kind: str, destination: str) -> None:
    found = box.run(mount(destination, kind, kind), f"grep ' {destination} {kind} ' /proc/mounts | tail -1").out
    assert found.startswith(f"{kind} {destination} {kind} rw")


def test_devpts_options(box: Box) -> None:
    assert "mode=620,ptmxmode=666" in box.run({}, "grep ' /dev/pts ' /proc/mounts").out


def test_tmpfs_size_and_mode(box: Box) -> None:
    patch = mount("/mnt", "tmpfs", "tmpfs", "size=64k", "mode=1700", "nr_inodes=5")
    found = box.run(patch, "grep ' /mnt ' /proc/mounts; stat -c %a /mnt")
    assert "size=64k,nr_inodes=5,mode=1700" in found.lines[0]
    assert found.lines[1] == "1700"


@pytest.mark.parametrize("mode", [0o1777, 0o750])
def test_tmpfs_without_mode_takes_that_of_the_directory(box: Box, mode: int) -> None:
    (box.rootfs / "mnt").mkdir()
    (box.rootfs / "mnt").chmod(mode)
    assert box.run(mount("/mnt"), "stat -c %a /mnt").out == f"{mode:o}"


def test_tmpcopyup(box: Box) -> None:
    folder = box.rootfs / "data/sub"
    folder.mkdir(parents=True)
    (folder / "file").write_text("copied")
    (folder / "file").chmod(0o640)
    (folder / "link").symlink_to("file")
    result = box.run(mount("/data", "tmpfs", "tmpfs", "tmpcopyup"), "cat /data/sub/link; stat -c %a /data/sub/file")
    assert result.out == "copied640"


def test_an_unknown_option_goes_to_the_file_system_and_its_words_come_back(box: Box) -> None:
    error = box.refused(mount("/mnt", "tmpfs", "tmpfs", "no_such_option=1"))
    assert error.startswith("pyrunc: /mounts/3")
    assert "Unknown parameter 'no_such_option'" in error


def test_an_unknown_type_is_an_error(box: Box) -> None:
    error = box.refused(mount("/mnt", "nosuchfs"))
    assert "/mounts/3" in error
    assert "nosuchfs" in error


def test_nothing_may_be_mounted_inside_proc(box: Box) -> None:
    assert "/mounts/3/destination" in box.refused(mount("/proc/sys"))


@pytest.mark.parametrize("name", ["proc", "sys"])
def test_proc_and_sys_must_be_no_symlinks(box: Box, name: str) -> None:
    (box.rootfs / name).rmdir()
    (box.rootfs / name).symlink_to("tmp")
    assert "/mounts/" in box.refused(mount("/sys", "sysfs", "sysfs"))


def test_a_destination_is_required(box: Box) -> None:
    assert "/mounts/3/destination" in box.refused({"+mounts": [{"type": "tmpfs", "source": "tmpfs"}]})


def test_an_overlay_whose_layers_need_many_bytes(box: Box, tmp_path: Path) -> None:
    layers = [tmp_path / f"layer-{'x' * 60}-{number}" for number in range(6)]
    for number, layer in enumerate(layers):
        layer.mkdir()
        (layer / f"file{number}").touch()
    lower = "lowerdir=" + ":".join(map(str, layers))
    assert box.run(mount("/mnt", "overlay", "overlay", lower), "ls /mnt | wc -l").out == "6"


def test_the_mounts_of_the_container_are_not_the_hosts(box: Box) -> None:
    box.start({**mount("/mnt")}, "sleep 100")
    assert str(box.bundle) not in Path("/proc/self/mountinfo").read_text()


@pytest.mark.parametrize("options", [["rro"], ["ro"], ["rro", "tmpcopyup"]], ids=" ".join)
def test_a_tmpfs_that_is_read_only(box: Box, options: list[str]) -> None:
    """Also by its recursive option: it takes the mode of the directory, and its files, before it is."""
    (box.rootfs / "full").mkdir(mode=0o710)
    (box.rootfs / "full/it").touch()
    seen = box.run(
        mount("/full", "tmpfs", "tmpfs", *options), "stat -c %a /full; ls /full; grep ' /full ' /proc/mounts"
    )
    assert seen.lines[0] == "710"
    assert seen.lines[-1].split()[3].split(",")[0] == "ro"
    assert ("it" in seen.lines) == ("tmpcopyup" in options)


def test_symlinks_that_are_not_followed(box: Box, tmp_path: Path) -> None:
    """crun(1): src-nofollow binds a symlink itself, dest-nofollow covers one."""
    (tmp_path / "file").write_text("content")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (box.rootfs / "target").symlink_to("nowhere")
    source = str(tmp_path / "link")
    both = mount("/target", "bind", source, "bind", "src-nofollow", "dest-nofollow")
    assert box.run(both, "readlink /target").out == str(tmp_path / "file")
    one = mount("/target", "bind", source, "bind", "dest-nofollow")
    assert box.run(one, "cat /target").out == "content"
    new = mount("/new/deep", "bind", source, "bind", "dest-nofollow")
    assert box.run(new, "cat /new/deep").out == "content"
    assert not (box.rootfs / "nowhere").exists()


def test_a_bind_on_the_root(box: Box, tmp_path: Path) -> None:
    """As with crun: it is the root for all that follows; root.path is covered and keeps what it has."""
    shutil.copytree(box.rootfs, tmp_path / "other", symlinks=True)
    (tmp_path / "other/mark").write_text("other")
    before = sorted(box.rootfs.iterdir())
    row = {"destination": "/", "type": "bind", "source": str(tmp_path / "other"), "options": ["rbind", "nosuid"]}
    patch: Patch = {"process": {"cwd": "/new"}, "mounts": [row, PROC], "root": {"readonly": True}}
    seen = box.run(patch, "cat /mark; pwd; touch /x; cut -d' ' -f5,6 /proc/self/mountinfo | head -1")
    assert seen.lines == ["other/new", "/ ro,nosuid,relatime"]
    assert "Read-only file system" in seen.err
    assert sorted(box.rootfs.iterdir()) == before


def test_a_new_filesystem_on_the_root(box: Box) -> None:
    assert "/mounts/3/destination: is the root" in box.refused(mount("/", "tmpfs", "tmpfs"), "true", "x")


@pytest.mark.parametrize("before", ["", "link", "file"])
def test_a_symlink_that_is_copied(box: Box, tmp_path: Path, before: str) -> None:
    """crun(1): copy-symlink shows a symlink as it is, also a dangling one; what the image has there is only covered."""
    (tmp_path / "link").symlink_to("../words")
    (box.rootfs / "words").write_text("of the container")
    place = box.rootfs / "dir/link"
    if before:
        place.parent.mkdir()
    if before == "link":
        place.symlink_to("/elsewhere")
    elif before == "file":
        place.write_text("image")
    row = mount("/dir/link", "bind", str(tmp_path / "link"), "rbind", "copy-symlink")
    assert box.run(row, "readlink /dir/link; cat /dir/link").lines == ["../words", "of the container"]
    if before == "link":
        assert place.readlink() == Path("/elsewhere")
    else:
        assert place.read_text() == ("image" if before else "")


def test_copy_symlink_of_what_is_none(box: Box, tmp_path: Path) -> None:
    """A bind as any other: a symlink of the image is followed, in the container."""
    (tmp_path / "file").write_text("content")
    (box.rootfs / "link").symlink_to("/real")
    row = mount("/link/sub", "bind", str(tmp_path), "bind", "copy-symlink")
    assert box.run(row, "cat /real/sub/file").out == "content"
    (box.rootfs / "last").symlink_to("/real/new")
    row = mount("/last", "bind", str(tmp_path), "bind", "copy-symlink")
    assert box.run(row, "cat /real/new/file; readlink /last").lines == ["content/real/new"]


@pytest.mark.parametrize("cgroup", [True, False])
def test_sysfs_of_a_network_that_another_user_namespace_owns(box: Box, cgroup: bool) -> None:
    """The kernel refuses a new mount: the host's is bound, with the flags on all of it, and no cgroups of the host."""
    ids = [{"containerID": 0, "hostID": 0, "size": 1}]
    linux: Patch = {"namespaces": [{"type": name} for name in ("pid", "mount", "user")]}
    patch: Patch = {"linux": {**linux, "uidMappings": ids, "gidMappings": ids}}
    rows = [{"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro", "nosuid", "noexec", "nodev"]}]
    if cgroup:
        rows.append({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]})
    seen = box.run(
        patch | {"+mounts": rows}, "ls -d /sys/class/net; ls /sys/fs/cgroup | wc -l; grep ' /sys' /proc/mounts"
    )
    assert seen.lines[0] == "/sys/class/net"
    assert (int(seen.lines[1]) > 0) == cgroup
    flags = [line.split()[3].split(",")[0] for line in seen.lines[2:] if cgroup is False or "cgroup" not in line]
    assert flags
    assert set(flags) == {"ro"}
