# SPDX-License-Identifier: Apache-2.0
"""containerd with a file of contrib/ as its configuration, in throw-away folders, and its client ctr."""

import contextlib
import hashlib
import itertools
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

from tests.vm import engines

IMAGE = "docker.io/library/bb:latest"


class Ctr(engines.Client):
    """`ctr`, whose containers get the runtime under test by `run`."""

    def __init__(self, folder: Path, *, socket: str = "socket", work: Path | None = None) -> None:
        """folder: of the socket; work: of what tests write, the same if not given."""
        self.socket = f"{folder}/{socket}"
        super().__init__("ctr", "--address", self.socket)
        self.folder = work or folder
        self.made = ["--runtime", "io.containerd.runc.v2", "--runc-binary", str(engines.PATH)]
        self._count = itertools.count()

    def run_words(self, *args: str) -> list[str]:
        """`run` with these flags, image and words."""
        made = list(self.made)
        if engines.CGROUPS == "systemd":
            # Without a cgroup of that form ctr refuses the flag
            made += ["--runc-systemd-cgroup", "--cgroup", f"system.slice:ctr:test{next(self._count)}"]
        return ["run", *made, *args]

    def waiting(self, name: str, *flags: str) -> None:
        """A container that runs; SIGTERM ends it with status 3."""
        log = self.folder / f"{name}.log"
        self.ok(
            *self.run_words("--detach", "--log-uri", f"file://{log}", *flags, IMAGE, name, "sh", "-c", engines.WAIT)
        )
        engines.until(lambda: log.exists() and "ready" in log.read_text())

    def status(self, name: str) -> str:
        """RUNNING, PAUSED, STOPPED, or nothing."""
        rows = [line.split() for line in self.ok("task", "list").splitlines()]
        return next((row[2] for row in rows if row[0] == name), "")

    def pid(self, name: str) -> str:
        return next(line.split()[1] for line in self.ok("task", "list").splitlines() if line.split()[0] == name)


def archive(folder: Path) -> Path:
    """The image in the layout of the OCI, in a tar."""
    layer = engines.image(folder)
    blobs: dict[str, bytes] = {}

    def blob(content: bytes, kind: str) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(content)}

    bottom = blob(layer.read_bytes(), "layer.v1.tar")
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["sleep", "100000"]},
        "rootfs": {"type": "layers", "diff_ids": [bottom["digest"]]},
    }
    described = blob(json.dumps(config).encode(), "config.v1+json")
    manifest = blob(
        json.dumps({"schemaVersion": 2, "config": described, "layers": [bottom]}).encode(), "manifest.v1+json"
    )
    manifest["annotations"] = {"io.containerd.image.name": IMAGE}
    blobs["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [manifest]}).encode()
    blobs["oci-layout"] = json.dumps({"imageLayoutVersion": "1.0.0"}).encode()
    for name, content in blobs.items():
        (folder / "oci" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "oci" / name).write_bytes(content)
    with tarfile.open(folder / "oci.tar", "w") as tar:
        tar.add(folder / "oci", ".")
    return folder / "oci.tar"


@contextlib.contextmanager
def containerd(folder: Path, namespace: str = "default") -> Iterator[Ctr]:
    """A running containerd that has the image bb in this namespace."""
    name = "containerd/pyrunc-systemd.toml" if engines.CGROUPS == "systemd" else "containerd/pyrunc.toml"
    config = engines.CONTRIB / name
    if engines.RUNTIME != "pyrunc":
        config = folder / "config.toml"
        config.write_text(engines.configured(name))
    ctr = Ctr(folder)
    argv = ["containerd", "--config", str(config), "--root", f"{folder}/root"]
    argv += ["--state", f"{folder}/state", "--address", f"{folder}/socket"]
    with engines.daemon(argv, folder / "log", lambda: ctr("version").status == 0, {}):
        ctr.ok("--namespace", namespace, "image", "import", str(archive(folder)))
        yield ctr
