# SPDX-License-Identifier: Apache-2.0
"""Maps of a user namespace that are too long for one write, and what the program that writes them may not get."""

import os
import subprocess

from pyrunc.process.inherited import closings
from tests.containers.box import Box, Patch


def mapped(count: int, first: int) -> Patch:
    rows = [{"containerID": 2 * n, "hostID": first + 2 * n, "size": 1} for n in range(count)]
    return {"linux": {"+namespaces": [{"type": "user"}], "uidMappings": rows, "gidMappings": rows[:1]}}


def test_rows_that_are_longer_than_a_page(box: Box) -> None:
    """The reason is their length, and not that they overlap; the line does not repeat them all."""
    error = box.refused(mapped(300, 1000000000), "true")
    assert error.startswith('pyrunc: /linux/uidMappings: cannot write "0 1000000000 1, 2 1000000002 1, ')
    assert error.endswith("bytes, of 4095 at most")
    assert len(error) < 400


def test_descriptors_of_the_caller_are_closed_for_programs_of_the_host() -> None:
    reader, writer = os.pipe()
    os.set_inheritable(reader, True)
    try:
        assert (os.POSIX_SPAWN_CLOSE, reader) in closings()
        assert (os.POSIX_SPAWN_CLOSE, writer) not in closings()
        assert not any(action[1] < 3 for action in closings())
        listing = f"test ! -e /proc/self/fd/{reader}"
        child = os.posix_spawn("/bin/sh", ["sh", "-c", listing], {}, file_actions=closings())
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert subprocess.run(["/bin/sh", "-c", listing], pass_fds=[reader], check=False).returncode == 1
    finally:
        os.close(reader)
        os.close(writer)
