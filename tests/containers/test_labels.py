# SPDX-License-Identifier: Apache-2.0
"""SPEC-106, SPEC-120, SPEC-319: AppArmor and SELinux, or a clear word that the host has them not.

Where AppArmor is on a profile is loaded for the tests; of SELinux only the refusal is seen here.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.box import Box, Patch

_ENABLED = Path("/sys/module/apparmor/parameters/enabled")
APPARMOR = _ENABLED.exists() and _ENABLED.read_text().startswith("Y")
SELINUX = Path("/sys/fs/selinux/enforce").exists()
NAME = "pyrunc-test-profile"
PROFILE = f"""
profile {NAME} flags=(attach_disconnected,mediate_deleted) {{
  file,
  signal,
  capability,
  deny /etc/secret r,
}}
"""
needs_apparmor = pytest.mark.skipif(not APPARMOR, reason="needs AppArmor")
without_apparmor = pytest.mark.skipif(APPARMOR, reason="needs a host without AppArmor")
without_selinux = pytest.mark.skipif(SELINUX, reason="needs a host without SELinux")


def profile(name: str) -> Patch:
    return {"process": {"apparmorProfile": name}}


@pytest.fixture
def loaded() -> Iterator[str]:
    """A profile that lets all happen but the reading of one file."""
    subprocess.run(["apparmor_parser", "-r"], input=PROFILE, text=True, check=True)
    yield NAME
    subprocess.run(["apparmor_parser", "-R"], input=PROFILE, text=True, check=True)


@needs_apparmor
@pytest.mark.parametrize("user", [False, True], ids=["no user namespace", "user namespace"])
def test_a_profile_confines(box: Box, loaded: str, user: bool) -> None:
    (box.rootfs / "etc/secret").write_text("secret")
    patch = profile(loaded)
    if user:
        row = {"containerID": 0, "hostID": 100000, "size": 65536}
        patch |= {"linux": {"+namespaces": [{"type": "user"}], "uidMappings": [row], "gidMappings": [row]}}
    out = box.run(patch, "cat /proc/self/attr/apparmor/current; cat /etc/secret 2>&1", status=1).lines
    assert out[0] == f"{loaded} (enforce)"
    assert "Permission denied" in out[1]


@needs_apparmor
def test_exec_has_the_profile_or_its_own(box: Box, loaded: str) -> None:
    box.start(profile(loaded), "sleep", "60")
    current = ["cat", "/proc/self/attr/apparmor/current"]
    assert box.exec(*current).out == f"{loaded} (enforce)"
    assert box.exec(*current, flags=("--apparmor", "unconfined")).out == "unconfined"
    box.delete("--force")


@needs_apparmor
def test_a_profile_that_is_not_loaded(box: Box) -> None:
    error = box.refused(profile("pyrunc-no-such-profile"))
    assert error.startswith("pyrunc: /process/apparmorProfile: write(")
    assert "no profile of this name is loaded" in error


@without_apparmor
def test_without_apparmor_a_profile_is_an_error(box: Box) -> None:
    assert box.refused(profile("docker-default")) == (
        "pyrunc: /process/apparmorProfile: config provided but apparmor not supported"
    )


@pytest.mark.parametrize("name", ["unconfined", ""])
def test_unconfined_is_no_profile(box: Box, name: str) -> None:
    assert box.run(profile(name), "echo ran").out == "ran"


@without_apparmor
def test_without_apparmor_exec_refuses_a_profile(box: Box) -> None:
    box.start({}, "sleep", "60")
    error = box.exec("true", flags=("--apparmor", "docker-default"), status=255).err
    assert "/process/apparmorProfile: config provided but apparmor not supported" in error
    assert box.exec("true", flags=("--apparmor", "unconfined")).status == 0
    box.delete("--force")


@without_selinux
@pytest.mark.parametrize(
    ("patch", "pointer"),
    [
        ({"process": {"selinuxLabel": "system_u:system_r:container_t:s0"}}, "/process/selinuxLabel"),
        ({"linux": {"mountLabel": "system_u:object_r:container_file_t:s0"}}, "/linux/mountLabel"),
    ],
    ids=["process", "mount"],
)
def test_without_selinux_a_label_is_an_error(box: Box, patch: Patch, pointer: str) -> None:
    words = "selinux label is specified in config, but selinux is disabled or not supported"
    assert box.refused(patch) == f"pyrunc: {pointer}: {words}"


@without_selinux
def test_without_selinux_exec_refuses_a_label(box: Box) -> None:
    box.start({}, "sleep", "60")
    error = box.exec("true", flags=("--process-label", "a:b:c:d"), status=255).err
    assert "/process/selinuxLabel: selinux label is specified" in error
    box.delete("--force")
