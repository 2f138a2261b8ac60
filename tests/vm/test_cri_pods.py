# SPDX-License-Identifier: Apache-2.0
"""Kubernetes: what a kubelet or crictl asks of containerd by the CRI, and it of the runtime."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm import engines
from tests.vm.containerd import IMAGE
from tests.vm.cri import RESIZE, STATUS, STDIN, STDOUT, Cri, CriError, Message, WebSocket, service

pytestmark = [pytest.mark.root, pytest.mark.timeout(600), engines.needs("containerd", "protoc")]

Pod = tuple[str, Message]


@pytest.fixture(scope="module")
def cri() -> Iterator[Cri]:
    with service() as cri:
        yield cri


@pytest.fixture(scope="module")
def pod(cri: Cri) -> Pod:
    """A pod of the host's network."""
    return cri.pod()


@pytest.fixture(scope="module")
def box(cri: Cri, pod: Pod) -> str:
    """The id of a container that runs all the time."""
    made = cri.container(pod, "box", "sh", "-c", engines.WAIT, envs=[{"key": "COLOUR", "value": "blue"}])
    engines.until(lambda: "ready" in cri.log(pod, "box"))
    return made


def test_pod_sandbox(cri: Cri, pod: Pod) -> None:
    assert (
        "state" not in cri("PodSandboxStatus", pod_sandbox_id=pod[0])["status"]
    )  # 0, ready, which protobuf leaves out
    assert pod[0] in {item["id"] for item in cri("ListPodSandbox")["items"]}


def test_container(cri: Cri, box: str) -> None:
    seen = cri.status(box)
    assert (seen["state"], seen["image"]["image"]) == ("CONTAINER_RUNNING", IMAGE)


def test_exit_status_and_log(cri: Cri, pod: Pod) -> None:
    made = cri.container(pod, "ends", "sh", "-c", "echo said; exit 7")
    engines.until(lambda: cri.status(made)["state"] == "CONTAINER_EXITED")
    assert cri.status(made)["exit_code"] == 7
    assert cri.log(pod, "ends") == "said"


def test_missing_program(cri: Cri, pod: Pod) -> None:
    with pytest.raises(CriError, match='exec: "nosuch": executable file not found in \\$PATH'):
        cri.container(pod, "missing", "nosuch")


def test_exec_sync(cri: Cri, box: str) -> None:
    assert cri.exec(box, "sh", "-c", "echo $COLOUR; echo bad >&2; exit 9") == (9, "blue", "bad")


def test_exec_sync_times_out(cri: Cri, box: str) -> None:
    with pytest.raises(CriError, match="timeout 1s exceeded"):
        cri("ExecSync", container_id=box, cmd=["sleep", "1000"], timeout=1)


def test_exec_stream(cri: Cri, box: str) -> None:
    flags = {"stdin": True, "stdout": True, "tty": True}
    # The size comes by a way of its own, and may come later than the line
    script = "read line; until stty size 2>/dev/null | grep '31 91'; do sleep 0.1; done; exit 5"
    stream = WebSocket(cri("Exec", container_id=box, cmd=["sh", "-c", script], **flags)["url"])
    stream.send(RESIZE, json.dumps({"Width": 91, "Height": 31}).encode())
    stream.send(STDIN, b"go\n")
    said = b""
    status = b""
    for channel, data in stream.messages():
        said += data if channel == STDOUT else b""
        status += data if channel == STATUS else b""
    stream.close()
    assert b"31 91" in said
    assert json.loads(status)["details"]["causes"][0]["message"] == "5"


def test_attach(cri: Cri, pod: Pod) -> None:
    made = cri.container(pod, "reads", "sh", "-c", "read line; echo heard $line; sleep 1", stdin=True)
    stream = WebSocket(cri("Attach", container_id=made, stdin=True, stdout=True)["url"])
    stream.send(STDIN, b"this\n")
    assert any(b"heard this" in data for channel, data in stream.messages() if channel == STDOUT)
    stream.close()


def test_port_forward(cri: Cri) -> None:
    pod = cri.pod(network="POD")
    script = "mkdir -p /www; echo served >/www/index.html; exec httpd -f -p 8080 -h /www"
    made = cri.container(pod, "server", "sh", "-c", script)
    engines.until(lambda: cri.exec(made, "wget", "-q", "-O", "-", "http://127.0.0.1:8080/")[1] == "served")
    url = cri("PortForward", pod_sandbox_id=pod[0], port=[8080])["url"]
    stream = WebSocket(f"{url}?port=8080")
    stream.send(0, b"GET / HTTP/1.0\r\n\r\n")
    assert any(b"served" in data for channel, data in stream.messages() if channel == 0)
    stream.close()


def test_pod_network(cri: Cri) -> None:
    pod = cri.pod(network="POD")
    address = cri("PodSandboxStatus", pod_sandbox_id=pod[0])["status"]["network"]["ip"]
    made = cri.container(pod, "one", "sh", "-c", "hostname; ip -4 addr show eth0")
    engines.until(lambda: cri.status(made)["state"] == "CONTAINER_EXITED")
    name, *rest = cri.log(pod, "one").split("\n")
    assert name == pod[1]["hostname"]
    assert f"inet {address}/24" in "\n".join(rest)


def test_containers_share_the_pods_namespaces(cri: Cri, pod: Pod, box: str) -> None:
    other = cri.container(pod, "other", "sh", "-c", engines.WAIT)
    for name, shared in (("ipc", True), ("net", True), ("pid", False), ("mnt", False)):
        links = {Path(f"/proc/{cri.pid(made)}/ns/{name}").readlink() for made in (box, other)}
        assert (len(links) == 1) == shared, name


def test_pid_namespace_of_another(cri: Cri, pod: Pod, box: str) -> None:
    options = {"network": "NODE", "pid": "TARGET", "target_id": box}
    linux = {"security_context": {"namespace_options": options}}
    made = cri.container(pod, "debug", "cat", "/proc/1/cmdline", linux=linux)
    engines.until(lambda: cri.status(made)["state"] == "CONTAINER_EXITED")
    assert "trap" in cri.log(pod, "debug")


def test_stop(cri: Cri, pod: Pod) -> None:
    made = cri.container(pod, "polite", "sh", "-c", engines.WAIT)
    engines.until(lambda: "ready" in cri.log(pod, "polite"))
    cri("StopContainer", container_id=made, timeout=60)
    assert cri.status(made)["exit_code"] == 3
    cri("RemoveContainer", container_id=made)


def test_stop_ends_with_sigkill(cri: Cri, pod: Pod) -> None:
    made = cri.container(pod, "deaf", "sleep", "1000")
    cri("StopContainer", container_id=made, timeout=1)
    assert cri.status(made)["exit_code"] == 137


def test_security_context(cri: Cri, pod: Pod) -> None:
    context = {
        "capabilities": {"drop_capabilities": ["ALL"], "add_capabilities": ["CHOWN"]},
        "no_new_privs": True,
        "readonly_rootfs": True,
        "run_as_user": {"value": 1000},
        "run_as_group": {"value": 1000},
        "seccomp": {"profile_type": "RuntimeDefault"},
    }
    script = "cat /proc/self/status; touch /x"
    made = cri.container(pod, "safe", "sh", "-c", script, linux={"security_context": context})
    engines.until(lambda: cri.status(made)["state"] == "CONTAINER_EXITED")
    said = cri.log(pod, "safe")
    assert engines.field(said, "Uid").split()[0] == "1000"
    assert int(engines.field(said, "CapBnd"), 16) == 1
    assert (engines.field(said, "NoNewPrivs"), engines.field(said, "Seccomp")) == ("1", "2")
    assert "Read-only file system" in said


def test_privileged(cri: Cri) -> None:
    pod = cri.pod(privileged=True)
    context = {"security_context": {"privileged": True}}
    made = cri.container(pod, "strong", "sh", "-c", "mount -t tmpfs none /tmp && echo mounted", linux=context)
    engines.until(lambda: cri.status(made)["state"] == "CONTAINER_EXITED")
    assert cri.log(pod, "strong") == "mounted"


def test_user_namespace(cri: Cri) -> None:
    ranges = [{"host_id": 200000, "container_id": 0, "length": 65536}]
    options = {"userns_options": {"mode": "POD", "uids": ranges, "gids": ranges}}
    pod = cri.pod(network="POD", namespace_options=options)
    made = cri.container(pod, "mapped", "sh", "-c", f"touch /mine; stat -c %u /mine; {engines.WAIT}")
    engines.until(lambda: "ready" in cri.log(pod, "mapped"))
    assert cri.log(pod, "mapped").split() == ["0", "ready"]
    assert Path(f"/proc/{cri.pid(made)}").stat().st_uid == 200000


def test_mounts(cri: Cri, pod: Pod, tmp_path: Path) -> None:
    mounts = [{"container_path": "/data", "host_path": str(tmp_path)}]
    mounts.append({"container_path": "/fixed", "host_path": str(tmp_path), "readonly": True})  # type: ignore[dict-item]
    made = cri.container(
        pod, "mounts", "sh", "-c", "echo out >/data/file; cat /fixed/file; touch /fixed/x", mounts=mounts
    )
    engines.until(lambda: cri.status(made)["state"] == "CONTAINER_EXITED")
    assert (tmp_path / "file").read_text() == "out\n"
    assert "out" in cri.log(pod, "mounts").splitlines()
    assert "Read-only file system" in cri.log(pod, "mounts")


@pytest.mark.cgroup2
def test_resources_and_update(cri: Cri, pod: Pod) -> None:
    limits = {"memory_limit_in_bytes": 64 << 20, "cpu_quota": 50000, "cpu_period": 100000}
    made = cri.container(pod, "limited", "sh", "-c", engines.WAIT, linux={"resources": limits})
    cgroup = engines.cgroup(cri.pid(made))
    assert (cgroup / "memory.max").read_text().strip() == str(64 << 20)
    assert (cgroup / "cpu.max").read_text() == "50000 100000\n"
    cri("UpdateContainerResources", container_id=made, linux={"memory_limit_in_bytes": 32 << 20, "cpu_quota": 20000})
    assert (cgroup / "memory.max").read_text().strip() == str(32 << 20)
    assert (cgroup / "cpu.max").read_text() == "20000 100000\n"


@pytest.mark.cgroup2
def test_oom_kill_is_reported(cri: Cri, pod: Pod) -> None:
    limits = {"memory_limit_in_bytes": 16 << 20, "memory_swap_limit_in_bytes": 16 << 20}
    made = cri.container(pod, "hungry", "tail", "/dev/zero", linux={"resources": limits})
    engines.until(lambda: cri.status(made)["state"] == "CONTAINER_EXITED")
    assert (cri.status(made)["reason"], cri.status(made)["exit_code"]) == ("OOMKilled", 137)


@pytest.mark.cgroup2
def test_stats(cri: Cri, box: str) -> None:
    seen = cri("ContainerStats", container_id=box)["stats"]
    assert int(seen["memory"]["working_set_bytes"]["value"]) > 0
    assert int(seen["cpu"]["usage_core_nano_seconds"]["value"]) > 0


@pytest.mark.cgroup2
def test_stats_of_all(cri: Cri, box: str) -> None:
    assert box in {row["attributes"]["id"] for row in cri("ListContainerStats")["stats"]}


def test_pod_is_removed(cri: Cri) -> None:
    pod = cri.pod()
    made = cri.container(pod, "inside", "sleep", "1000")
    process = cri.pid(made)
    cri("StopPodSandbox", pod_sandbox_id=pod[0])
    assert not Path(f"/proc/{process}").exists()
    cri("RemovePodSandbox", pod_sandbox_id=pod[0])
    assert pod[0] not in {item["id"] for item in cri("ListPodSandbox").get("items", [])}


def test_nothing_is_left(cri: Cri) -> None:
    """The last test: without pods the runtime knows no container."""
    cri.remove_all()
    assert engines.left(cri.folder / "state/runc/k8s.io", "cri-test/*/*", "test.slice/*/cri-containerd-*") == []
