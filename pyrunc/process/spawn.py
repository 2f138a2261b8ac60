# SPDX-License-Identifier: Apache-2.0
"""Starts pyrunc-init on a program, from a sealed copy of it in memory (CVE-2019-5736), with what it may have open."""

import posix
import sys
from errno import EBADF, EINVAL, EMFILE
from fcntl import F_DUPFD_CLOEXEC, F_GETFD, FD_CLOEXEC, fcntl

from pyrunc.errors import HostError
from pyrunc.linux.errnos import reason
from pyrunc.process.protocol import Helper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyrunc.plan.program import Program

_MFD_CLOEXEC, _MFD_ALLOW_SEALING, _MFD_EXEC = 1, 2, 0x10
_F_ADD_SEALS, _F_GET_SEALS = 1033, 1034
_SEALS = 0x0F
"""F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE."""
_TOO_MANY = (EINVAL, EMFILE)
_GAPS_MAX = 1024
_APART = 64
"""Descriptors are first moved up by so many, so that none is overwritten while they are laid out for the helper."""
_DEFAULT_SIGNALS = (*range(1, 9), *range(10, 19), *range(20, 32), *range(34, 65))
"""All but SIGKILL, SIGSTOP and the two that the C library keeps: Python's ignored SIGPIPE would survive execve(2)."""


def spawn(program: "Program", descriptors: "Mapping[str, int]", preserve: int) -> Helper:
    """Start the helper on `program`.

    `descriptors` are the program's inputs that are open here, by name; they stay open here. "reports", "answers" and
    "first free" are the protocol's own. `preserve` descriptors from 3 on stay open in the container's process; the
    program closes those of `gaps`, which are held by what is not worth hiding, the program itself.
    """
    reports, reports_end = posix.pipe2(posix.O_CLOEXEC)
    answers_end, answers = posix.pipe2(posix.O_CLOEXEC)
    first = 3 + preserve
    inputs = {"reports": first + 1, "answers": first + 2}
    opened = [reports_end, answers_end]
    try:
        names = [name for name, fd in descriptors.items() if name in program.inputs and fd >= 0]
        for place, name in enumerate(names):
            inputs[name] = first + 3 + place
        inputs["first free"] = first + 3 + len(names)
        raw = program.encode({name: inputs.get(name, -EBADF) for name in program.inputs}, first + 1, first + 2)
        code = _sealed("pyrunc-program", raw, 0)
        opened.append(code)
        binary = _helper_binary()
        opened.append(binary)
        moved = [fcntl(fd, F_DUPFD_CLOEXEC, first + _APART) for fd in (code, reports_end, answers_end)]
        moved.append(fcntl(binary, F_DUPFD_CLOEXEC, first + _APART))
        opened += moved
        program_file = moved.pop()
        for name in names:
            moved.append(fcntl(descriptors[name], F_DUPFD_CLOEXEC, first + _APART))
            opened.append(moved[-1])
        actions = [(posix.POSIX_SPAWN_DUP2, fd, first + place) for place, fd in enumerate(moved)]
        # A free number would be taken by what the helper opens, and be kept with the others (opencontainers/runc#5474)
        actions += [(posix.POSIX_SPAWN_DUP2, moved[0], fd) for fd in gaps(preserve)]
        pid = posix.posix_spawn(
            f"/proc/self/fd/{program_file}",
            ("pyrunc-init", str(first)),
            {},
            file_actions=actions,
            setsigmask=(),
            setsigdef=_DEFAULT_SIGNALS,
        )
    except BaseException as error:
        posix.close(reports)
        posix.close(answers)
        if isinstance(error, OSError):
            raise HostError(f"cannot start pyrunc-init: {reason(error.errno)}{_limit(error)}") from error
        raise
    finally:
        for fd in opened:
            posix.close(fd)
    return Helper(pid, reports, answers)


def _limit(error: OSError) -> str:
    """What to do when the runtime itself may not have the descriptors, as it is with 64 open files and less."""
    return ": the limit on open files (RLIMIT_NOFILE) of the runtime is too low" if error.errno in _TOO_MANY else ""


def _helper_binary() -> int:
    if "_onefile" in sys.builtin_module_names:
        from _onefile import helper

        return _sealed("pyrunc-init", helper(), _MFD_EXEC)
    binary = __file__.rpartition("/process/")[0] + "/init/pyrunc-init"
    try:
        fd = posix.open(binary, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError as error:
        raise HostError(f"pyrunc-init is not beside the package, build it: {reason(error.errno)}") from error
    try:
        raw = posix.read(fd, 1 << 20)
    finally:
        posix.close(fd)
    return _sealed("pyrunc-init", raw, _MFD_EXEC)


def _sealed(name: str, raw: bytes, flags: int) -> int:
    """A descriptor of a memfd that holds `raw` and can never change."""
    try:
        fd = posix.memfd_create(name, _MFD_CLOEXEC | _MFD_ALLOW_SEALING | flags)
    except OSError as error:
        if error.errno != EINVAL or not flags:
            # EACCES: the sysctl vm.memfd_noexec
            why = "the helper runs from nothing but sealed memory"
            raise HostError(f"memfd_create: {reason(error.errno)}; {why}") from error
        # MFD_EXEC is known since Linux 6.3; before it every memfd could be executed.
        return _sealed(name, raw, 0)
    written = 0
    while written < len(raw):
        written += posix.write(fd, raw[written:])
    fcntl(fd, _F_ADD_SEALS, _SEALS)
    if fcntl(fd, _F_GET_SEALS) & _SEALS != _SEALS:
        posix.close(fd)
        raise HostError("a memfd cannot be sealed on this host")
    return fd


def gaps(preserve: int) -> list[int]:
    """Which of the descriptors 3 to 2 + preserve the caller has not opened: they stay closed for the container.

    Podman's --preserve-fd names single ones, and counts up to the last. One that is close-on-exec did not come from
    the caller: the log, in the caller's gap. HostError when they are so many that the number must be a mistake.
    """
    found: list[int] = []
    for fd in range(3, 3 + preserve):
        if not _given(fd):
            found.append(fd)
            if len(found) > _GAPS_MAX:
                raise HostError(f"--preserve-fds {preserve}: more than {_GAPS_MAX} of these are not open")
    return found


def _given(fd: int) -> bool:
    try:
        return not fcntl(fd, F_GETFD) & FD_CLOEXEC
    except OSError:
        return False
