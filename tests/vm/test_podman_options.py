# SPDX-License-Identifier: Apache-2.0
"""Podman: user namespaces, mapped volumes, networks, limits and profiles."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm import engines
from tests.vm.podman import Podman, ordinary_user, podman

pytestmark = [pytest.mark.root, pytest.mark.timeout(600), engines.needs("podman", "newuidmap", "runuser")]

apparmor = pytest.mark.skipif(not Path("/sys/module/apparmor").exists(), reason="needs AppArmor")
SERVE = "mkdir -p /www; echo served >/www/index.html; exec httpd -f -p 80 -h /www"


@pytest.fixture(scope="module", name="podman")
def engine() -> Iterator[Podman]:
    with podman() as root:
        yield root


@pytest.fixture(scope="module")
def rootless() -> Iterator[Podman]:
    with ordinary_user() as user, podman(user) as ordinary:
        yield ordinary


@pytest.fixture(scope="module")
def automatic() -> Iterator[None]:
    """Ids of the user `containers`, from which --userns=auto takes."""
    files = [Path("/etc/subuid"), Path("/etc/subgid")]
    before = [file.read_text() for file in files]
    for file, text in zip(files, before, strict=True):
        if "containers:" not in text:
            file.write_text(f"{text}containers:2000000:1000000\n")
    yield
    for file, text in zip(files, before, strict=True):
        file.write_text(text)


def run(podman: Podman, *flags: str, script: str) -> str:
    return podman.ok("run", "--rm", "--network", "none", *flags, "bb", "sh", "-c", script)


def test_user_namespace_by_maps(podman: Podman) -> None:
    flags = ("--uidmap", "0:300000:2000", "--gidmap", "0:300000:2000")
    seen = run(podman, *flags, script="cat /proc/self/uid_map; touch /mine; stat -c %u /mine /bin")
    assert seen.split() == ["0", "300000", "2000", "0", "0"]


def test_user_namespace_auto(podman: Podman, automatic: None) -> None:
    seen = run(podman, "--userns", "auto:size=3000", script="cat /proc/self/uid_map").split()
    assert (seen[0], seen[2]) == ("0", "3000")
    assert int(seen[1]) >= 1 << 16


def test_user_namespace_of_another(podman: Podman) -> None:
    podman.waiting("owner", "--network", "none", "--uidmap", "0:300000:2000")
    assert run(podman, "--userns", "container:owner", script="cat /proc/self/uid_map").split()[1] == "300000"


def test_user_namespace_keep_id(rootless: Podman) -> None:
    seen = run(rootless, "--userns", "keep-id", script="id -u; touch /tmp/mine; stat -c %u /tmp/mine")
    assert seen.split() == [str(rootless.uid)] * 2


def test_user_namespace_keep_id_as_another(rootless: Podman) -> None:
    assert run(rootless, "--userns", "keep-id:uid=77,gid=78", script="id -u; id -g").split() == ["77", "78"]


def test_user_namespace_nomap(rootless: Podman) -> None:
    seen = run(rootless, "--userns", "nomap", script="cat /proc/self/uid_map").split()
    assert seen[:2] == ["0", "1"]  # the user himself, 0 of Podman's own namespace, is not in it


def test_mapped_volume(podman: Podman) -> None:
    """What the container's root writes belongs to the host's root, by an idmapped mount."""
    source = podman.folder / "mapped"
    source.mkdir(mode=0o700)
    flags = ("--uidmap", "0:300000:2000", "--gidmap", "0:300000:2000", "--volume", f"{source}:/data:idmap")
    assert run(podman, *flags, script="touch /data/file; stat -c %u /data/file") == "0"
    assert (source / "file").stat().st_uid == 0


def test_volume_with_changed_owner(podman: Podman) -> None:
    flags = ("--user", "1000:1000", "--volume", "owned:/data:U")
    assert run(podman, *flags, script="touch /data/x; stat -c %u /data").split() == ["1000"]


def test_overlay_volume(podman: Podman) -> None:
    source = podman.folder / "lower"
    source.mkdir()
    assert run(podman, "--volume", f"{source}:/data:O", script="echo up >/data/file; cat /data/file") == "up"
    assert list(source.iterdir()) == []


def test_groups_of_the_caller(rootless: Podman) -> None:
    seen = run(rootless, "--group-add", "keep-groups", script="id -G").split()
    assert seen[0] == "0"


def test_bridge_and_port(podman: Podman) -> None:
    flags = ("--detach", "--name", "server", "--publish", "127.0.0.1:18081:80")
    podman.ok("run", *flags, "bb", "sh", "-c", SERVE)
    seen = podman.ok("run", "--rm", "--network", "container:server", "bb", "ls", "/sys/class/net").split()
    assert seen == ["eth0", "lo"]
    engines.until(lambda: engines.call("busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:18081/").out == "served")


def test_port_of_an_ordinary_user(rootless: Podman) -> None:
    flags = ("--detach", "--name", "server", "--publish", "127.0.0.1:18082:80")
    rootless.ok("run", *flags, "bb", "sh", "-c", SERVE)
    engines.until(lambda: engines.call("busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:18082/").out == "served")


def test_host_network(rootless: Podman) -> None:
    seen = rootless.ok("run", "--rm", "--network", "host", "bb", "readlink", "/proc/self/ns/net")
    assert seen == str(Path("/proc/self/ns/net").readlink())


def test_host_namespaces(podman: Podman) -> None:
    script = "for name in pid ipc uts cgroup; do readlink /proc/self/ns/$name; done"
    seen = run(podman, "--pid", "host", "--ipc", "host", "--uts", "host", "--cgroupns", "host", script=script)
    assert seen.split() == [str(Path(f"/proc/self/ns/{name}").readlink()) for name in ("pid", "ipc", "uts", "cgroup")]


def test_devices(podman: Podman) -> None:
    assert run(podman, "--device", "/dev/fuse:/dev/gave", script="exec 3<>/dev/gave && echo opened") == "opened"
    result = podman("run", "--rm", "--network", "none", "bb", "sh", "-c", "mknod /fuse c 10 229 && cat /fuse")
    assert "Operation not permitted" in result.err


def test_pause_and_unpause(podman: Podman) -> None:
    podman.waiting("paused", "--network", "none")
    podman.ok("pause", "paused")
    assert podman.inspect("paused", "{{.State.Status}}") == "paused"
    cgroup = engines.cgroup(podman.inspect("paused", "{{.State.Pid}}"))
    assert "frozen 1" in (cgroup / "cgroup.events").read_text()
    podman.ok("unpause", "paused")
    assert podman.ok("exec", "paused", "echo", "on") == "on"


def test_init_and_secret(podman: Podman) -> None:
    (podman.folder / "word").write_text("hidden")
    podman.ok("secret", "create", "word", str(podman.folder / "word"))
    seen = run(podman, "--init", "--secret", "word", script="cat /run/secrets/word; tr '\\0' ' ' </proc/1/cmdline")
    assert seen.startswith("hidden")
    assert "init" in seen


def test_seccomp_profile_of_a_file(podman: Podman) -> None:
    profile = podman.folder / "profile.json"
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    flags = ("--security-opt", f"seccomp={profile}")
    result = podman("run", "--rm", "--network", "none", *flags, "bb", "mkdir", "/tmp/x")
    assert result.status == 1
    assert "not supported" in result.err.lower()  # EOPNOTSUPP


@apparmor
def test_apparmor(podman: Podman) -> None:
    assert run(podman, script="cat /proc/self/attr/current").startswith("containers-default-")
    seen = run(podman, "--security-opt", "apparmor=unconfined", script="cat /proc/self/attr/current")
    assert seen == "unconfined"


@pytest.mark.cgroup2
def test_memory_limit_ends_in_an_oom_kill(podman: Podman) -> None:
    podman("run", "--name", "hungry", "--network", "none", "--memory", "16m", "bb", "tail", "/dev/zero")
    assert podman.inspect("hungry", "{{.State.OOMKilled}} {{.State.ExitCode}}") == "true 137"


@pytest.mark.cgroup2
def test_limits_and_update(podman: Podman) -> None:
    podman.waiting("limited", "--network", "none", "--memory", "64m", "--pids-limit", "30", "--cpus", "0.5")
    cgroup = engines.cgroup(podman.inspect("limited", "{{.State.Pid}}"))

    def seen() -> list[str]:
        return [(cgroup / name).read_text().strip() for name in ("memory.max", "pids.max", "cpu.max")]

    assert seen() == [str(64 << 20), "30", "50000 100000"]
    podman.ok("update", "--memory", "32m", "--cpus", "0.2", "limited")
    assert seen() == [str(32 << 20), "30", "20000 100000"]


@pytest.mark.cgroup2
def test_stats(podman: Podman) -> None:
    podman.waiting("counted", "--network", "none")
    seen = json.loads(podman.ok("stats", "--no-stream", "--format", "json", "counted"))[0]
    assert (seen["name"], seen["pids"]) == ("counted", "2")


@pytest.mark.cgroup2
@pytest.mark.skipif(
    engines.CGROUPS != "systemd", reason="needs a host without cgroupfs: ordinary users get limits there"
)
def test_limits_of_an_ordinary_user(rootless: Podman) -> None:
    seen = run(rootless, "--memory", "64m", "--pids-limit", "30", script="cd /sys/fs/cgroup; cat memory.max pids.max")
    assert seen.split() == [str(64 << 20), "30"]


def test_nothing_is_left(podman: Podman, rootless: Podman) -> None:
    """The last test: without containers the runtime knows none, and no cgroup of theirs is there."""
    with contextlib.ExitStack() as stack:
        stack.callback(rootless.left)
        assert podman.left() == []
    assert rootless.left() == []
