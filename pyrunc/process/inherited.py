# SPDX-License-Identifier: Apache-2.0
"""What a program that the runtime starts on the host must not get: descriptors that our caller has left open for it."""

import posix


def closings() -> list[tuple[int, int]]:
    """File actions that close them, but 0 to 2; those of our own are close-on-exec (PEP 446). Engines leak sockets."""
    found = (int(text) for text in posix.listdir("/proc/self/fd"))
    return [(posix.POSIX_SPAWN_CLOSE, fd) for fd in found if fd > 2 and _is_inheritable(fd)]


def _is_inheritable(fd: int) -> bool:
    try:
        return posix.get_inheritable(fd)
    except OSError:
        return False  # the descriptor of the listing itself
