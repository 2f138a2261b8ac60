# SPDX-License-Identifier: Apache-2.0
"""A /dev/null that the caller gives is the container's own inside, as with runc: no file of the host stays open."""

from tests.containers.box import Box


def test_the_null_device_is_the_container_s(box: Box) -> None:
    """Its mount is one that the container can name: that of its /dev."""
    box.start({}, "sed -n 's/^mnt_id:[[:space:]]*//p' /proc/self/fdinfo/0; grep ' /dev ' /proc/self/mountinfo")
    box.until("stopped")
    stdin, mount = box.output().splitlines()
    assert stdin == mount.split()[0]


def test_a_pipe_stays_what_it_is(box: Box) -> None:
    assert box.run({}, "read line; echo $line", stdin="through\n").out == "through"
