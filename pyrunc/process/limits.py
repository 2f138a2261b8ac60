# SPDX-License-Identifier: Apache-2.0
"""prlimit(2) on another process: limits that a process in a user namespace may not raise itself."""

import resource

from pyrunc.errors import ConfigError


def prlimit(pid: int, limits: list[tuple[int, int, int, str]]) -> None:
    """Set (number, soft, hard, pointer) each; ConfigError with the pointer when the kernel refuses one."""
    for number, soft, hard, pointer in limits:
        try:
            resource.prlimit(pid, number, (_signed(soft), _signed(hard)))
        except (OSError, ValueError) as error:
            raise ConfigError(f"prlimit: {error}", pointer) from error


def _signed(limit: int) -> int:
    return resource.RLIM_INFINITY if limit == 2**64 - 1 else limit
