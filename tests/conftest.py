# SPDX-License-Identifier: Apache-2.0
"""What holds for every test: a marker whose need this machine does not meet skips the test and names the need."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

# No deadline: the machine is shared, and a slow example is no wrong one.
hypothesis.settings.register_profile("pyrunc", deadline=None, print_blob=True)
hypothesis.settings.load_profile("pyrunc")

# A shell that starts us in the background has these ignored, and so would every runtime under test.
signal.signal(signal.SIGINT, signal.default_int_handler)
for number in (signal.SIGHUP, signal.SIGQUIT):
    signal.signal(number, signal.SIG_DFL)


def _mounted(kind: str) -> bool:
    """Whether a file system of this type is mounted: the word after " - " in proc_pid_mountinfo(5)."""
    return f" - {kind} " in Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")


def _cgroup2_controllers() -> bool:
    """Whether the tree that containers would use is cgroup2, with a controller that limits something."""
    path = Path("/sys/fs/cgroup/cgroup.controllers")
    return path.exists() and "memory" in path.read_text("ascii").split()


def _user_namespaces() -> bool:
    path = Path("/proc/sys/user/max_user_namespaces")
    return path.exists() and int(path.read_text("ascii")) > 0


NEEDS: dict[str, tuple[Callable[[], bool], str]] = {
    "root": (lambda: os.geteuid() == 0, "root"),
    "rootless": (_user_namespaces, "user namespaces (user.max_user_namespaces is 0)"),
    "cgroup1": (lambda: _mounted("cgroup"), "cgroup v1 controllers, mounted"),
    "cgroup2": (_cgroup2_controllers, "cgroup2 at /sys/fs/cgroup with the memory controller"),
    "systemd": (lambda: Path("/run/systemd/system").is_dir(), "systemd, running"),
    "criu": (lambda: shutil.which("criu") is not None, "the program criu"),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what cannot run here."""
    unmet = {marker: need for marker, (met, need) in NEEDS.items() if not met()}
    for item in items:
        for marker in item.iter_markers():
            if need := unmet.get(marker.name):
                item.add_marker(pytest.mark.skip(reason=f"needs {need}"))
