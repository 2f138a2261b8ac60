# SPDX-License-Identifier: Apache-2.0
"""Docker: limits that bite, and what a container may do."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm import engines
from tests.vm.docker import Docker, dockerd

pytestmark = [pytest.mark.root, pytest.mark.timeout(600), engines.needs("dockerd", "docker")]
controllers = pytest.mark.cgroup2

MAKE_DIRECTORY = "mkdir /tmp/x && echo made"


@pytest.fixture(scope="module")
def docker() -> Iterator[Docker]:
    with engines.scratch("docker") as folder, dockerd(folder) as docker:
        yield docker


def status(docker: Docker, *flags: str) -> str:
    """/proc/self/status of a container's process."""
    return docker.ok("run", "--rm", *flags, "bb", "cat", "/proc/self/status")


@controllers
def test_memory_limit_ends_in_an_oom_kill(docker: Docker) -> None:
    docker("run", "--name", "hungry", "--memory", "16m", "bb", "tail", "/dev/zero")
    assert docker.inspect("hungry", "{{.State.OOMKilled}} {{.State.ExitCode}}") == "true 137"


@controllers
def test_memory_and_swap_limits(docker: Docker) -> None:
    script = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory.low /sys/fs/cgroup/memory.swap.max"
    flags = ("--memory", "32m", "--memory-reservation", "8m", "--memory-swap", "48m")
    assert docker.ok("run", "--rm", *flags, "bb", "sh", "-c", script).split() == ["33554432", "8388608", "16777216"]


@controllers
def test_cpu_limit_throttles(docker: Docker) -> None:
    script = "cat /sys/fs/cgroup/cpu.max; timeout 1 sh -c 'while :; do :; done'; cat /sys/fs/cgroup/cpu.stat"
    quota, *stat = docker.ok("run", "--rm", "--cpus", "0.2", "bb", "sh", "-c", script).splitlines()
    assert quota == "20000 100000"
    assert int(next(line.split()[1] for line in stat if line.startswith("nr_throttled "))) > 0


@controllers
def test_cpu_set_and_shares(docker: Docker) -> None:
    script = "nproc; cat /sys/fs/cgroup/cpuset.cpus /sys/fs/cgroup/cpu.weight"
    seen = docker.ok("run", "--rm", "--cpuset-cpus", "1", "--cpu-shares", "512", "bb", "sh", "-c", script).split()
    assert seen[:2] == ["1", "1"]
    assert 10 < int(seen[2]) < 100  # by which of two formulas differs between versions


@controllers
def test_pids_limit(docker: Docker) -> None:
    script = "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; echo none failed"
    result = docker("run", "--rm", "--pids-limit", "4", "bb", "sh", "-c", script)
    assert "can't fork: Resource temporarily unavailable" in result.err


@controllers
def test_update(docker: Docker) -> None:
    docker.waiting("changed", "--memory", "64m", "--memory-swap", "64m")
    docker.ok("update", "--memory", "32m", "--memory-swap", "32m", "--pids-limit", "20", "--cpus", "0.5", "changed")
    cgroup = engines.cgroup(docker.inspect("changed", "{{.State.Pid}}"))
    seen = [(cgroup / name).read_text().strip() for name in ("memory.max", "pids.max", "cpu.max")]
    assert seen == ["33554432", "20", "50000 100000"]


@controllers
def test_stats(docker: Docker) -> None:
    docker.waiting("counted", "--memory", "64m")
    seen = json.loads(docker.ok("stats", "--no-stream", "--format", "json", "counted"))
    assert seen["PIDs"] == "2"
    assert seen["MemUsage"].endswith(" / 64MiB")


def test_read_only(docker: Docker) -> None:
    flags = ("--read-only", "--tmpfs", "/tmp")
    result = docker("run", "--rm", *flags, "bb", "sh", "-c", "touch /tmp/x && echo tmpfs; touch /x")
    assert (result.status, result.out) == (1, "tmpfs")
    assert "Read-only file system" in result.err


def test_cap_drop_and_add(docker: Docker) -> None:
    flags = ("--cap-drop", "ALL", "--cap-add", "NET_ADMIN", "--cap-add", "CHOWN")
    assert int(engines.field(status(docker, *flags), "CapEff"), 16) == 1 << 12 | 1 << 0


def test_default_capabilities(docker: Docker) -> None:
    assert engines.field(status(docker), "CapBnd") == "00000000a80425fb"


def test_privileged(docker: Docker) -> None:
    script = "mount -t tmpfs none /tmp && test -e /dev/mem -o -e /dev/vda && grep CapEff /proc/self/status"
    everything = engines.field(Path("/proc/self/status").read_text(), "CapBnd")
    assert docker.ok("run", "--rm", "--privileged", "bb", "sh", "-c", script) == f"CapEff:\t{everything}"


def test_default_seccomp_profile(docker: Docker) -> None:
    assert engines.field(status(docker), "Seccomp") == "2"
    result = docker("run", "--rm", "bb", "unshare", "-U", "true")
    assert "Operation not permitted" in result.err


def test_seccomp_unconfined(docker: Docker) -> None:
    assert engines.field(status(docker, "--security-opt", "seccomp=unconfined"), "Seccomp") == "0"


def test_seccomp_profile_of_a_file(docker: Docker) -> None:
    profile = docker.folder / "profile.json"
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    result = docker("run", "--rm", "--security-opt", f"seccomp={profile}", "bb", "sh", "-c", MAKE_DIRECTORY)
    assert (result.status, result.out) == (1, "")
    assert "not supported" in result.err.lower()  # EOPNOTSUPP


apparmor = pytest.mark.skipif(not Path("/sys/module/apparmor").exists(), reason="needs AppArmor")


@apparmor
def test_apparmor_by_default(docker: Docker) -> None:
    assert docker.ok("run", "--rm", "bb", "cat", "/proc/self/attr/current") == "docker-default (enforce)"
    result = docker("run", "--rm", "--cap-add", "SYS_ADMIN", "bb", "mount", "-t", "tmpfs", "none", "/tmp")
    assert "ermission denied" in result.err


@apparmor
def test_apparmor_unconfined(docker: Docker) -> None:
    flags = ("--cap-add", "SYS_ADMIN", "--security-opt", "apparmor=unconfined")
    script = "cat /proc/self/attr/current; mount -t tmpfs none /tmp && echo mounted"
    assert docker.ok("run", "--rm", *flags, "bb", "sh", "-c", script) == "unconfined\nmounted"


@apparmor
def test_apparmor_in_exec(docker: Docker) -> None:
    docker.waiting("profiled")
    assert docker.ok("exec", "profiled", "cat", "/proc/self/attr/current") == "docker-default (enforce)"


def test_no_new_privileges(docker: Docker) -> None:
    assert engines.field(status(docker), "NoNewPrivs") == "0"
    assert engines.field(status(docker, "--security-opt", "no-new-privileges"), "NoNewPrivs") == "1"


def test_device(docker: Docker) -> None:
    script = "ls -l /dev/gave | cut -c 1; exec 3<>/dev/gave && echo opened"
    assert docker.ok("run", "--rm", "--device", "/dev/fuse:/dev/gave", "bb", "sh", "-c", script) == "c\nopened"


def test_other_devices_are_refused(docker: Docker) -> None:
    result = docker("run", "--rm", "bb", "sh", "-c", "mknod /tmp/fuse c 10 229 && cat /tmp/fuse")
    assert "Operation not permitted" in result.err


def test_device_cgroup_rule(docker: Docker) -> None:
    script = "mknod /tmp/fuse c 10 229 && exec 3<>/tmp/fuse && echo opened"
    assert docker.ok("run", "--rm", "--device-cgroup-rule", "c 10:229 rw", "bb", "sh", "-c", script) == "opened"


def test_ulimit(docker: Docker) -> None:
    flags = ("--ulimit", "nofile=100:200", "--ulimit", "core=0")
    assert docker.ok("run", "--rm", *flags, "bb", "sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -c") == "100\n200\n0"


def test_user_and_groups(docker: Docker) -> None:
    seen = docker.ok("run", "--rm", "--user", "1000:5", "--group-add", "77", "bb", "sh", "-c", "id -u; id -g; id -G")
    assert seen.split("\n") == ["1000", "5", "5 77"]


def test_sysctl(docker: Docker) -> None:
    flags = ("--sysctl", "net.ipv4.ip_forward=1", "--sysctl", "kernel.msgmax=12345")
    script = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax"
    assert docker.ok("run", "--rm", *flags, "bb", "sh", "-c", script) == "1\n12345"


def test_host_namespaces(docker: Docker) -> None:
    flags = ("--pid", "host", "--ipc", "host", "--uts", "host")
    script = "for name in pid ipc uts mnt; do readlink /proc/self/ns/$name; done"
    *shared, mounts = docker.ok("run", "--rm", *flags, "bb", "sh", "-c", script).split()
    assert shared == [str(Path(f"/proc/self/ns/{name}").readlink()) for name in ("pid", "ipc", "uts")]
    assert mounts != str(Path("/proc/self/ns/mnt").readlink())


def test_shared_pid_namespace(docker: Docker) -> None:
    docker.waiting("owner")
    seen = docker.ok("run", "--rm", "--pid", "container:owner", "bb", "cat", "/proc/1/cmdline")
    assert seen.startswith("sh\0-c\0trap")


def test_shm_size_and_tmpfs(docker: Docker) -> None:
    script = "df -k /dev/shm /here | awk 'NR > 1 {print $2}'"
    seen = docker.ok("run", "--rm", "--shm-size", "2m", "--tmpfs", "/here:size=1m", "bb", "sh", "-c", script)
    assert seen.split() == ["2048", "1024"]


def test_oom_score(docker: Docker) -> None:
    assert docker.ok("run", "--rm", "--oom-score-adj", "321", "bb", "cat", "/proc/self/oom_score_adj") == "321"


def test_masked_paths(docker: Docker) -> None:
    script = (
        "wc -c </proc/timer_list; { echo 1 >/proc/sys/kernel/msgmax; } 2>&1 | sed 's/.*: //'; ls /sys/firmware | wc -l"
    )
    seen = docker.ok("run", "--rm", "bb", "sh", "-c", script).splitlines()
    assert [line.strip() for line in seen] == ["0", "Read-only file system", "0"]


def test_nothing_is_left(docker: Docker) -> None:
    """The last test: without containers the runtime knows none, and no cgroup of theirs is there."""
    assert docker.left() == []
