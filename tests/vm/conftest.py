# SPDX-License-Identifier: Apache-2.0
"""Tests that take a whole machine: real engines, systemd, CRIU. They run in the one of `make vm` and nowhere else.

They stop services, start daemons and make networks, which nobody wants on a machine that he uses. There nothing may be
missing: tests/bed/report.py lets a run fail in which a test was skipped for a reason that it does not know.

A test has an engine by engines.py, and its image, a tar of busybox, by the fixture busybox_tar.
"""

from pathlib import Path

import pytest

from tests.vm import engines

HERE = Path(__file__).parent
HOSTNAME = "pyrunc-vm"
TIMEOUT = 600
"""Seconds for a test with an engine in emulation."""


def in_machine() -> bool:
    """Whether this is the machine of `make vm`."""
    return Path("/etc/hostname").exists() and Path("/etc/hostname").read_text().strip() == HOSTNAME


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip all of this folder elsewhere, and give it time here."""
    for item in items:
        if not item.path.is_relative_to(HERE):
            continue
        if not in_machine():
            item.add_marker(pytest.mark.skip(reason="needs the machine of `make test-vm`"))
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TIMEOUT))


@pytest.fixture(scope="session")
def busybox_tar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root file system for `docker import`, `podman import` and `ctr image import`."""
    return engines.image(tmp_path_factory.mktemp("image"))
