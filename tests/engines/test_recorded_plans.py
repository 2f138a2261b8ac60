# SPDX-License-Identifier: Apache-2.0
"""`pyrunc plan` of every recorded configuration: accepted as by the real runtime, or refused by name."""

import json
from pathlib import Path

import pytest

from pyrunc.cgroups import path
from pyrunc.container.plan import plan
from pyrunc.container.settings import Settings
from pyrunc.errors import CgroupError, PyruncError
from tests.engines.adapt import plannable
from tests.engines.recorded import ACCEPTED, NAMES, ORACLE, REFUSED, Json, load

try:
    path.hierarchies()
except CgroupError as error:
    pytest.skip(f"needs cgroups: {error}", allow_module_level=True)


def planned(config: Json, bundle: Path) -> list[str]:
    (bundle / "config.json").write_text(json.dumps(config))
    return plan(Settings(str(bundle / "state"), lambda _: None), str(bundle)).listing()


def refusal(config: Json, bundle: Path) -> str:
    with pytest.raises(PyruncError) as caught:
        planned(config, bundle)
    return caught.value.pointer


def test_every_recording_is_of_one_kind() -> None:
    refused = {name for name, row in ORACLE.items() if row["rc"]}
    assert sorted(ORACLE) == NAMES
    assert refused == REFUSED.keys() | ACCEPTED.keys()
    assert not REFUSED.keys() & ACCEPTED.keys()


@pytest.mark.parametrize("name", NAMES)
def test_what_the_real_runtime_accepts_is_planned(name: str, tmp_path: Path) -> None:
    listing = planned(plannable(load(name)), tmp_path)
    assert any("execve" in line for line in listing)


def test_a_sysctl_of_the_hosts_network_is_refused(tmp_path: Path) -> None:
    """The one negative sample that needs no look at a root file system; it had the host's namespace by path."""
    name = "podman-runc-systemd-run-networkns"
    config = plannable(load(name))
    network = next(row for row in config["linux"]["namespaces"] if row["type"] == "network")
    network["path"] = "/proc/self/ns/net"
    assert refusal(config, tmp_path) == REFUSED[name]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_adapted_would_be_refused(name: str, tmp_path: Path) -> None:
    """A profile of AppArmor: never ignored."""
    config, fit = load(name), plannable(load(name))
    if "apparmorProfile" in config["process"] and "apparmorProfile" not in fit["process"]:
        changed = fit | {"process": fit["process"] | {"apparmorProfile": config["process"]["apparmorProfile"]}}
        assert refusal(changed, tmp_path) == "/process/apparmorProfile"
