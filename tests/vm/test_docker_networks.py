# SPDX-License-Identifier: Apache-2.0
"""Docker: networks, ports, volumes and health checks."""

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm import engines
from tests.vm.docker import Docker, dockerd

pytestmark = [pytest.mark.root, pytest.mark.timeout(600), engines.needs("dockerd", "docker")]

SERVE = "mkdir -p /www && echo served >/www/index.html && exec httpd -f -p 80 -h /www"
NAMES = "ls /sys/class/net"


@pytest.fixture(scope="module")
def docker() -> Iterator[Docker]:
    with engines.scratch("docker") as folder, dockerd(folder) as docker:
        yield docker


@pytest.fixture(scope="module")
def server(docker: Docker) -> str:
    """The name of a container that serves a page in a network of its own, by name, and at port 18080 of the host."""
    docker.ok("network", "create", "own")
    docker.start("--name", "server", "--network", "own", "-p", "127.0.0.1:18080:80", "bb", "sh", "-c", SERVE)
    return "server"


def run(docker: Docker, *flags: str, script: str) -> str:
    return docker.ok("run", "--rm", *flags, "bb", "sh", "-c", script)


def test_bridge(docker: Docker) -> None:
    script = "ip route | awk '/default/ {print $3}' >/gw; ping -c 1 -W 5 $(cat /gw) >/dev/null && ls /sys/class/net"
    assert run(docker, script=script).split() == ["eth0", "lo"]


def test_host(docker: Docker) -> None:
    seen = run(docker, "--network", "host", script=f"readlink /proc/self/ns/net; {NAMES}").split()
    assert seen[0] == str(Path("/proc/self/ns/net").readlink())
    assert "docker0" in seen


def test_none(docker: Docker) -> None:
    assert run(docker, "--network", "none", script=NAMES) == "lo"


def test_network_of_a_container(docker: Docker, server: str) -> None:
    assert run(docker, "--network", f"container:{server}", script="wget -q -O - http://127.0.0.1/") == "served"


def test_network_with_names(docker: Docker, server: str) -> None:
    assert run(docker, "--network", "own", script="wget -q -O - http://server/") == "served"


def test_published_port(server: str) -> None:
    def answer() -> bytes:
        try:
            with urllib.request.urlopen("http://127.0.0.1:18080/", timeout=30) as reply:
                return bytes(reply.read())
        except OSError:
            return b""

    engines.until(lambda: answer() == b"served\n")


def test_connect_and_disconnect(docker: Docker, server: str) -> None:
    docker.ok("network", "connect", "bridge", server)
    assert "eth1" in docker.ok("exec", server, "ls", "/sys/class/net")
    docker.ok("network", "disconnect", "bridge", server)
    assert "eth1" not in docker.ok("exec", server, "ls", "/sys/class/net")


def test_hosts_and_resolver(docker: Docker) -> None:
    flags = ("--hostname", "me", "--add-host", "other:10.9.8.7", "--dns", "10.1.1.1")
    seen = run(docker, *flags, script="hostname; cat /etc/hosts /etc/resolv.conf")
    assert seen.startswith("me\n")
    assert "10.9.8.7\tother" in seen
    assert "nameserver 10.1.1.1" in seen


def test_mac_address(docker: Docker) -> None:
    flags = ("--mac-address", "02:42:ac:11:00:99")
    assert run(docker, *flags, script="cat /sys/class/net/eth0/address") == flags[1]


def test_volume_outlives_its_container(docker: Docker) -> None:
    run(docker, "--volume", "kept:/data", script="echo kept >/data/file")
    assert run(docker, "--volume", "kept:/other:ro", script="cat /other/file") == "kept"


def test_volume_is_filled_from_the_image(docker: Docker) -> None:
    assert "passwd" in run(docker, "--volume", "copy:/etc", script="ls /etc").split()


def test_bind_mount(docker: Docker, tmp_path: Path) -> None:
    run(docker, "--volume", f"{tmp_path}:/data", script="echo out >/data/file")
    assert (tmp_path / "file").read_text() == "out\n"


def test_read_only_bind_mount(docker: Docker, tmp_path: Path) -> None:
    result = docker("run", "--rm", "--volume", f"{tmp_path}:/data:ro", "bb", "touch", "/data/file")
    assert "Read-only file system" in result.err


def test_read_only_bind_mount_is_recursive(docker: Docker) -> None:
    """For `rro` dockerd asks where the runtime's features list it."""
    below = docker.folder / "outer/inner"
    below.mkdir(parents=True)
    engines.call("mount", "-t", "tmpfs", "none", str(below))
    flags = (
        "--mount",
        f"type=bind,src={below.parent},dst=/data,readonly,bind-recursive=readonly,bind-propagation=rprivate",
    )
    try:
        result = docker("run", "--rm", *flags, "bb", "touch", "/data/inner/file")
    finally:
        engines.call("umount", str(below))
    assert "Read-only file system" in result.err


def test_mount_propagation(docker: Docker) -> None:
    shared = docker.folder / "shared"
    (shared / "late").mkdir(parents=True)
    engines.call("mount", "--bind", str(shared), str(shared))
    engines.call("mount", "--make-shared", str(shared))
    try:
        docker.waiting("receiver", "--volume", f"{shared}:/data:rslave")
        engines.call("mount", "-t", "tmpfs", "later", str(shared / "late"))
        assert "later /data/late " in docker.ok("exec", "receiver", "cat", "/proc/mounts")
    finally:
        docker("rm", "--force", "receiver")
        engines.call("umount", "--recursive", str(shared))


def test_volumes_of_a_container(docker: Docker) -> None:
    docker.ok("create", "--name", "giver", "--volume", "/gift", "bb", "true")
    assert run(docker, "--volumes-from", "giver", script="touch /gift/x && echo writable") == "writable"


def test_health_check(docker: Docker) -> None:
    flags = ("--health-cmd", "test -e /tmp/ill && exit 1 || exit 0", "--health-interval", "1s", "--health-retries", "1")
    docker.waiting("patient", *flags)
    engines.until(lambda: docker.inspect("patient", "{{.State.Health.Status}}") == "healthy")
    docker.ok("exec", "patient", "touch", "/tmp/ill")
    engines.until(lambda: docker.inspect("patient", "{{.State.Health.Status}}") == "unhealthy")


def test_nothing_is_left(docker: Docker) -> None:
    """The last test: without containers the runtime knows none, and no cgroup of theirs is there."""
    assert docker.left() == []
