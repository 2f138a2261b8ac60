# SPDX-License-Identifier: Apache-2.0
"""prlimit(2) on another process: limits that a process in a user namespace may not raise itself."""

import resource

from pyrunc.errors import SetupError


def prlimit(pid: int, limits: list[tuple[int, int, int, str]]) -> None:
    """Set (number, soft, hard, pointer) each; SetupError with the pointer when the kernel refuses one."""
    for number, soft, hard, pointer in limits:
        try:
            resource.prlimit(pid, number, (_signed(soft), _signed(hard)))
        except (OSError, ValueError) as error:
            raise _refused(number, soft, hard, pointer, error) from error


def _refused(number: int, soft: int, hard: int, pointer: str, error: Exception) -> SetupError:
    from errno import EPERM

    from pyrunc.linux.errnos import reason
    from pyrunc.linux.symbols import symbolic
    from pyrunc.process import refusals

    # The module resource has a ValueError in place of EPERM.
    code = error.errno or 0 if isinstance(error, OSError) else EPERM
    call = f"prlimit64({symbolic('RLIMIT', number)}, {{soft={soft}, hard={hard}}})"
    return SetupError(pointer, call, code, reason(code), refusals.rlimit(number, hard) if code == EPERM else "")


def _signed(limit: int) -> int:
    return resource.RLIM_INFINITY if limit == 2**64 - 1 else limit
