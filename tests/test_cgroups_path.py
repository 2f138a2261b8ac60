# SPDX-License-Identifier: Apache-2.0
"""Where the cgroups of a container are: mode, hierarchies, linux.cgroupsPath."""

from pathlib import Path

import pytest

from pyrunc.cgroups import driver, path
from pyrunc.config.fields import Config
from pyrunc.errors import CgroupError, ConfigError, StateError, UsageError

HYBRID = """\
23 1 8:1 / / rw - ext4 /dev/root rw
31 23 0:28 / {root} rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / {root}/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 /docker/abc {root}/memory rw,relatime - cgroup cgroup rw,memory
36 31 0:33 / /elsewhere/devices rw,relatime - cgroup cgroup rw,devices
37 31 0:34 / {root}/dev\\040ices rw,relatime - cgroup cgroup rw,devices
40 31 0:37 / {root}/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / {root}/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
"""
OWN = "9:name=systemd:/user\n4:memory:/docker/abc/self\n2:cpu,cpuacct:/\n0::/user.slice/session\n"


def hierarchy(*names: str, top: str = "/") -> path.Hierarchy:
    return path.Hierarchy(names, ",".join(names), "/sys/fs/cgroup/x", top)


def test_hierarchies_of_a_hybrid_host(tmp_path: Path) -> None:
    """Each cgroup mount below the root is a hierarchy, with the options that mount it again; others are not."""
    info = tmp_path / "mountinfo"
    info.write_text(HYBRID.format(root=tmp_path))
    mode, found = path.hierarchies(str(tmp_path), str(info))
    assert mode == "hybrid"
    assert [(h.names, h.options, h.mount.removeprefix(str(tmp_path)), h.top) for h in found] == [
        (("cpu", "cpuacct"), "cpu,cpuacct", "/cpu,cpuacct", "/"),
        (("memory",), "memory", "/memory", "/docker/abc"),
        (("devices",), "devices", "/dev ices", "/"),
        (("name=systemd",), "name=systemd", "/systemd", "/"),
        (("",), "", "/unified", "/"),
    ]


def test_a_cgroup2_root_decides_whatever_else_is_mounted(tmp_path: Path) -> None:
    """cgroup.controllers in the root makes it v2, though v1 hierarchies are mounted elsewhere."""
    (tmp_path / "cgroup.controllers").write_text("memory\n")
    mode, found = path.hierarchies(str(tmp_path), "/nonexistent")
    assert (mode, [(h.names, h.mount) for h in found]) == ("v2", [(("",), str(tmp_path))])


def test_no_cgroups_is_an_error_that_names_the_way_out(tmp_path: Path) -> None:
    """Without a cgroup mount the message says what does without, and has no word that engines search for."""
    info = tmp_path / "mountinfo"
    info.write_text("23 1 8:1 / / rw - ext4 /dev/root rw\n")
    with pytest.raises(CgroupError, match="--cgroup-manager disabled") as caught:
        path.hierarchies(str(tmp_path), str(info))
    assert "no such file" not in str(caught.value).lower()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (False, "id")),
        ("/a/b", (True, "a/b")),
        ("//a/./b/", (True, "a/b")),
        ("a/b", (False, "a/b")),
        ("a:b", (False, "a:b")),
        # Of dockerd's BuildKit on a host with systemd, which passes no --systemd-cgroup
        ("system.slice:docker:id", (False, "system.slice:docker:id")),
    ],
)
def test_inner(text: str, expected: tuple[bool, str]) -> None:
    """An absolute path is relative to the mount, a missing one is the container's id."""
    assert path.inner(text, "id") == expected


@pytest.mark.parametrize("text", ["/a/../b", "..", "/", "./", "a\nb", "a\0b"])
def test_refused_paths(text: str) -> None:
    """[cgroup-path-escape] `..`, the root and control characters are refused with their pointer."""
    with pytest.raises(ConfigError) as caught:
        path.inner(text, "id")
    assert caught.value.pointer == "/linux/cgroupsPath"


def test_below() -> None:
    """As runc: a relative path is in our own cgroup on v1, beside it on v2; in a container, below the mount's root."""
    assert path.below(hierarchy("memory"), True, "a", "") == "/a"
    assert path.below(hierarchy("memory"), False, "a", OWN) == "/docker/abc/self/a"
    assert path.below(hierarchy("memory", top="/docker/abc"), False, "a", OWN) == "/self/a"
    assert path.below(hierarchy("cpu", "cpuacct"), False, "a", OWN) == "/a"
    assert path.below(hierarchy("name=systemd"), False, "a", OWN) == "/user/a"
    assert path.below(hierarchy(""), False, "a", OWN) == "/user.slice/a"
    assert path.below(hierarchy(""), False, "a", "0::/\n") == "/a"
    assert path.below(hierarchy(""), False, "a", "0::/../../x\n") == "/a"


def test_the_same_path_always_leads_to_the_same_cgroup(tmp_path: Path) -> None:
    """config-linux.md: one value, one cgroup, whatever the container's id."""
    (tmp_path / "cgroup.controllers").write_text("")
    config = Config({"linux": {"cgroupsPath": "some/where"}}, "/b")
    one, two = (driver.open_cgroup(config, name, "cgroupfs", root=str(tmp_path)).paths for name in ("one", "two"))
    assert one == two
    assert one[""].endswith("/some/where")


def test_the_systemd_manager_needs_systemd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Never taken for cgroupfs; the words are runc's."""
    monkeypatch.setattr("pyrunc.cgroups.scope.RUNNING", str(tmp_path / "none"))
    with pytest.raises(CgroupError, match="systemd not running on this host, cannot use systemd cgroups manager"):
        driver.open_cgroup(Config({}, "/b"), "id", "systemd")


def test_disabled_does_nothing() -> None:
    """--cgroup-manager disabled: no directory, no join, a record that says so."""
    cgroup = driver.open_cgroup(Config({"linux": {"cgroupsPath": "/x"}}, "/b"), "id", "disabled")
    cgroup.create()
    cgroup.join(1)
    assert (cgroup.directories(), cgroup.pids(), cgroup.entrances()) == ([], [], (None, []))
    assert driver.from_state(cgroup.record()).mode == "disabled"


@pytest.mark.parametrize(
    "change",
    [
        {"paths": {"": "/sys/fs/cgroup/../../etc"}},
        {"paths": {"": "/etc"}},
        {"paths": {"": "/sys/fs/cgroup"}},
        {"made": ["/sys/fs/cgroup/"]},
        {"made": [7]},
        {"root": "relative", "paths": {"": "relative/x"}},
        {"mode": "v3"},
        {"paths": None},
    ],
)
def test_a_damaged_record_is_refused(change: dict[str, object]) -> None:
    """A record that leads out of the cgroup tree, or to its root, is not acted on."""
    good: dict[str, object] = {"mode": "v2", "root": "/sys/fs/cgroup", "paths": {"": "/sys/fs/cgroup/a"}, "made": []}
    assert driver.from_state(good).paths == {"": "/sys/fs/cgroup/a"}
    with pytest.raises(StateError):
        driver.from_state(good | change)


def test_sub_cgroups() -> None:
    """For `exec --cgroup`: one path for all, or one for each controller, as runc."""
    assert driver.sub_cgroups([]) == {}
    assert driver.sub_cgroups(["a/b"]) == {"": "a/b"}
    assert driver.sub_cgroups(["cpu,memory:a", "pids:b:c"]) == {"cpu": "a", "memory": "a", "pids": "b:c"}


@pytest.mark.parametrize("texts", [["a", "b"], ["cpu:a", "cpu:b"], [":a"], ["cpu,:a"], ["../a"], ["cpu:a/../../b"]])
def test_refused_sub_cgroups(texts: list[str]) -> None:
    """Doubles, empty names, and paths that leave the container's cgroup."""
    with pytest.raises(UsageError):
        driver.sub_cgroups(texts)
