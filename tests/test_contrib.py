# SPDX-License-Identifier: Apache-2.0
"""The files of contrib/: each is what its engine reads, names the installed pyrunc, and has a page."""

import configparser
import json
import tomllib
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[1]
CONTRIB = CHECKOUT / "contrib"
INSTALLED = "/usr/local/bin/pyrunc"
PLUGIN = "io.containerd.grpc.v1.cri"


def toml(name: str) -> Any:
    return tomllib.loads((CONTRIB / name).read_text("utf-8"))


def test_every_file_has_a_page() -> None:
    pages = "\n".join(page.read_text("utf-8") for page in (CHECKOUT / "docs/engines").glob("*.md"))
    files = [file for file in CONTRIB.rglob("*") if file.is_file()]
    assert len(files) == 7
    for file in files:
        assert file.name in pages, file


def test_docker() -> None:
    settings = json.loads((CONTRIB / "docker/daemon.json").read_text("utf-8"))
    assert settings["runtimes"][settings["default-runtime"]] == {"path": INSTALLED}
    unit = configparser.ConfigParser()
    unit.read(CONTRIB / "docker/buildkit.conf", "utf-8")
    assert unit["Service"]["Environment"] == f"DOCKER_BUILDKIT_RUNC_COMMAND={INSTALLED}"


def test_podman() -> None:
    engine = toml("podman/pyrunc.conf")["engine"]
    assert engine["runtimes"][engine["runtime"]] == [INSTALLED]
    for key in ("runtime_supports_json", "runtime_supports_nocgroup"):
        assert engine[key] == ["pyrunc", {"append": True}]


def test_containerd() -> None:
    for name, systemd in (("pyrunc.toml", False), ("pyrunc-systemd.toml", True)):
        settings = toml(f"containerd/{name}")["plugins"][PLUGIN]["containerd"]
        runtime = settings["runtimes"][settings["default_runtime_name"]]
        assert runtime["runtime_type"] == "io.containerd.runc.v2"
        assert runtime["options"] == {"BinaryName": INSTALLED, "SystemdCgroup": systemd}


def test_crio() -> None:
    settings = toml("crio/pyrunc.conf")["crio"]["runtime"]
    assert settings["runtimes"][settings["default_runtime"]]["runtime_path"] == INSTALLED
