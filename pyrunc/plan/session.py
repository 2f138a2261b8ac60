# SPDX-License-Identifier: Apache-2.0
"""What every process of a container gets before its identity: a session, a keyring; and a new network its loopback."""

import errno

from pyrunc.linux.uapi import (
    AF_INET,
    IFF_UP,
    KEY_SPEC_SESSION_KEYRING,
    KEYCTL_JOIN_SESSION_KEYRING,
    KEYCTL_SETPERM,
    SIOCSIFFLAGS,
    SOCK_CLOEXEC,
    SOCK_DGRAM,
)
from pyrunc.plan.program import Program, Struct

_PERMISSIONS = 0x3F1B0000
"""All to who possesses it; to its owner view, read and link, as new keyrings have, and search: keyctl_setperm(3)."""


def keyring(program: Program, name: str) -> None:
    """A session keyring of its own (keyctl(2)): the caller's keys stay out; ENOSYS: a kernel without keyrings.

    Without the right to search it `exec` would not find it by its name, and make another one.
    """
    accept = (errno.ENOSYS, errno.EDQUOT)
    joined = program.call("keyctl", KEYCTL_JOIN_SESSION_KEYRING, name, 0, 0, 0, accept=accept)
    program.call("keyctl", KEYCTL_SETPERM, KEY_SPEC_SESSION_KEYRING, _PERMISSIONS, 0, 0)
    program.here_on_error(joined)


def loopback(program: Program) -> None:
    """Set `lo` up in a new network namespace: netdevice(7)."""
    origin = "/linux/namespaces"
    fd = program.call("socket", AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0, origin=origin, to="socket")
    request = Struct("16sH22s", b"lo", IFF_UP, b"", text='"lo", IFF_UP')
    program.call("ioctl", fd, SIOCSIFFLAGS, request, origin=origin)
    program.call("close", fd)
