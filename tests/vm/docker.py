# SPDX-License-Identifier: Apache-2.0
"""dockerd with the runtime under test as its default, in throw-away folders beside a Docker that may run already."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from tests.vm import engines

CGROUPS = f"docker/{'[0-9a-f]' * 12}*"


class Docker(engines.Client):
    """A client of that dockerd. folder holds its socket and data; pid is dockerd's."""

    def __init__(self, folder: Path) -> None:
        super().__init__("docker", "--host", f"unix://{folder}/docker.sock", env={"DOCKER_CONFIG": f"{folder}/client"})
        self.folder = folder
        self.pid = 0

    def inspect(self, name: str, template: str) -> str:
        return self.ok("inspect", "--format", template, name)

    def start(self, *args: str) -> str:
        """The id of a container that runs."""
        return self.ok("run", "--detach", *args)

    def waiting(self, name: str, *flags: str) -> str:
        """The id of a container, ready to be asked; SIGTERM ends it with status 3."""
        made = self.start("--name", name, *flags, "bb", "sh", "-c", engines.WAIT)
        engines.until(lambda: "ready" in self.ok("logs", name))
        return made

    def remove_all(self) -> None:
        if names := self.ok("ps", "--all", "--quiet").split():
            self.ok("rm", "--force", "--volumes", *names)

    def left(self) -> list[str]:
        """What remains of containers after the last one was removed."""
        self.remove_all()
        return engines.left(self.folder / "exec/runtime-runc/moby", CGROUPS, "system.slice/docker-*.scope")


def configuration(folder: Path) -> Path:
    """contrib/docker/daemon.json; dockerd knows runc by itself, and refuses another of this name."""
    settings = json.loads(engines.configured("docker/daemon.json"))
    if engines.RUNTIME == "runc":
        del settings["runtimes"]
    file = folder / "daemon.json"
    file.write_text(json.dumps(settings))
    return engines.CONTRIB / "docker/daemon.json" if engines.RUNTIME == "pyrunc" else file


def argv(folder: Path, *flags: str) -> list[str]:
    return [
        *("dockerd", "--config-file", str(configuration(folder)), "--host", f"unix://{folder}/docker.sock"),
        *("--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid"),
        *("--containerd", f"{folder}/containerd.sock"),
        *("--exec-opt", f"native.cgroupdriver={engines.CGROUPS}", *flags),
    ]


def containerd(folder: Path) -> contextlib.AbstractContextManager[int]:
    """Containerd for dockerd, which gives one of its own 15 seconds to start: too few for an emulated machine."""
    settings = folder / "containerd.toml"
    settings.write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
    socket = f"{folder}/containerd.sock"
    argv = ["containerd", "--config", str(settings), "--address", socket]
    argv += ["--root", f"{folder}/containerd", "--state", f"{folder}/tasks"]
    ready = lambda: engines.call("ctr", "--address", socket, "version").status == 0  # noqa: E731
    return engines.daemon(argv, folder / "containerd.log", ready, {})


@contextlib.contextmanager
def dockerd(folder: Path, *flags: str, keep: bool = False) -> Iterator[Docker]:
    """A running dockerd that has the image bb; without keep, its containers are gone when the block ends."""
    if Path("/run/systemd/system").is_dir():
        engines.call("systemctl", "stop", "docker.service", "docker.socket")  # its bridge is ours, too
    docker = Docker(folder)
    up = lambda: docker("version").status == 0  # noqa: E731
    env = {"DOCKER_BUILDKIT_RUNC_COMMAND": str(build_runtime(folder))}
    with containerd(folder), engines.daemon(argv(folder, *flags), folder / "log", up, env) as docker.pid:
        try:
            if docker("image", "inspect", "bb").status:
                docker.ok("import", str(engines.image(folder)), "bb")
            yield docker
        finally:
            if not keep:
                docker.remove_all()


def build_runtime(folder: Path) -> Path:
    """BuildKit's runtime: the one under test, by a script that writes each call of it to the file `builds`."""
    script = folder / "build-runtime"
    script.write_text(f'#!/bin/sh\necho "$@" >>{folder}/builds\nexec {engines.PATH} "$@"\n')
    script.chmod(0o755)
    return script
