# SPDX-License-Identifier: Apache-2.0
"""Replace the device filter of a cgroup from Python, for an update: bpf(2) by ctypes, in this cold module only.

On create the filter is loaded and attached by pyrunc-init (plan/device_filter.py).
"""

import errno
import posix
from _struct import pack, unpack

from pyrunc.linux.syscalls import MACHINES, SYSCALLS
from pyrunc.plan import device_filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ctypes import Array, c_char

# linux/bpf.h
_BPF_PROG_DETACH, _BPF_PROG_GET_FD_BY_ID, _BPF_PROG_QUERY = 9, 13, 16
_BPF_F_REPLACE = 4
_PROGRAMS_MAX = 64  # BPF_CGROUP_MAX_PROGS


def replace(cgroup: int, code: bytes) -> None:
    """Attach a program to the cgroup of a descriptor, in place of those attached to it; OSError as it comes.

    One old program is replaced at once (BPF_F_REPLACE, Linux 5.6): at no time is there none.
    """
    old = attached(cgroup)
    new = load(code)
    try:
        replaced = old.pop() if len(old) == 1 else -1
        flags = device_filter.BPF_F_ALLOW_MULTI | (_BPF_F_REPLACE if replaced >= 0 else 0)
        values = (cgroup, new, device_filter.BPF_CGROUP_DEVICE, flags, max(replaced, 0))
        _bpf(device_filter.BPF_PROG_ATTACH, bytearray(pack("=5I", *values)))
        if replaced >= 0:
            posix.close(replaced)
        for program in old:
            _bpf(_BPF_PROG_DETACH, bytearray(pack("=3I", cgroup, program, device_filter.BPF_CGROUP_DEVICE)))
    finally:
        for fd in (new, *old):
            posix.close(fd)


def load(code: bytes) -> int:
    """A descriptor of the program, O_CLOEXEC."""
    from ctypes import addressof, create_string_buffer

    instructions, licence = create_string_buffer(code), create_string_buffer(device_filter.LICENSE.encode())
    kind = device_filter.BPF_PROG_TYPE_CGROUP_DEVICE
    attributes = pack("=" + device_filter.LOAD, kind, len(code) // 8, addressof(instructions), addressof(licence))
    for left in range(30, -1, -1):
        try:
            return _bpf(device_filter.BPF_PROG_LOAD, bytearray(attributes))
        except OSError as error:
            # A signal interrupts the verifier
            if error.errno != errno.EAGAIN or not left:
                raise
    raise AssertionError


def attached(cgroup: int) -> list[int]:
    """Descriptors of the device programs that are attached to a cgroup itself, but those that may not be touched."""
    from ctypes import addressof, create_string_buffer

    ids: Array[c_char] = create_string_buffer(4 * _PROGRAMS_MAX)
    # 64 bytes, as Linux 6.17 writes the field `revision` whatever size it is told
    query = bytearray(pack("=4IQI36x", cgroup, device_filter.BPF_CGROUP_DEVICE, 0, 0, addressof(ids), _PROGRAMS_MAX))
    _bpf(_BPF_PROG_QUERY, query)
    count = unpack("=I", query[24:28])[0]
    found = []
    for number in unpack(f"={count}I", ids.raw[: 4 * count]):
        try:
            found.append(_bpf(_BPF_PROG_GET_FD_BY_ID, bytearray(pack("=3I", number, 0, 0))))
        except PermissionError:
            continue
    return found


def _bpf(command: int, attributes: bytearray) -> int:
    """bpf(2)."""
    import ctypes

    machine = MACHINES.index(posix.uname().machine)
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    syscall.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_ulong)
    syscall.restype = ctypes.c_long
    buffer = (ctypes.c_char * len(attributes)).from_buffer(attributes)
    result: int = syscall(SYSCALLS["bpf"][machine], command, ctypes.addressof(buffer), len(attributes))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, posix.strerror(number))
    return result
