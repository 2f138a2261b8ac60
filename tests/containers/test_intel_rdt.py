# SPDX-License-Identifier: Apache-2.0
"""SPEC-268 and SPEC-269 on this host: a group of resctrl, or the refusal (tests/test_intel_rdt.py has the rules)."""

from pathlib import Path

import pytest

from tests.containers.box import Box

RESCTRL = Path("/sys/fs/resctrl")
MOUNTED = (RESCTRL / "tasks").exists()


@pytest.mark.skipif(MOUNTED, reason="needs a host without resctrl")
@pytest.mark.parametrize("fields", [{}, {"closID": "/"}, {"closID": "gold", "memBwSchema": "MB:0=50"}], ids=str)
def test_without_resctrl_it_is_an_error(box: Box, fields: dict[str, str]) -> None:
    error = box.refused({"linux": {"intelRdt": fields}})
    assert error == "pyrunc: /linux/intelRdt: Intel RDT is not available: no resctrl filesystem is mounted"


@pytest.mark.skipif(not MOUNTED, reason="needs a host with resctrl")
def test_the_process_is_in_its_class(box: Box) -> None:
    box.start({"linux": {"intelRdt": {"enableMonitoring": True}}}, "sleep", "60")
    group = RESCTRL / box.id
    assert str(box.pid) in (group / "tasks").read_text().split()
    assert str(box.pid) in (group / f"mon_groups/{box.id}/tasks").read_text().split()
    box.delete("--force")
    assert not group.exists()
