# SPDX-License-Identifier: Apache-2.0
"""The kernel's interpreter of seccomp filters (bpf(4), kernel/seccomp.c), as far as filters use it."""

import struct

KILL, KILL_PROCESS, TRAP, ERRNO = 0, 0x80000000, 0x00030000, 0x00050000
NOTIFY, TRACE, LOG, ALLOW = 0x7FC00000, 0x7FF00000, 0x7FFC0000, 0x7FFF0000

X86_64, X86, X32, AARCH64, ARM, S390X, RISCV64 = (
    0xC000003E,
    0x40000003,
    0x4000003E,
    0xC00000B7,
    0x40000028,
    0x80000016,
    0xC00000F3,
)


def run(program: bytes, arch: int, number: int, *args: int) -> int:
    """The result of a filter for one system call: SECCOMP_RET_*, its data in the low 16 bits."""
    arguments = [value & (2**64 - 1) for value in (*args, *[0] * 6)][:6]
    data = struct.pack("=IIQ6Q", number & 0xFFFFFFFF, arch, 0, *arguments)
    code = list(struct.iter_unpack("=HBBI", program))
    accumulator, at = 0, 0
    while True:
        operation, jump_true, jump_false, constant = code[at]
        at += 1
        if operation == 0x06:
            return int(constant)
        if operation == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, constant)
        elif operation == 0x54:
            accumulator &= constant
        elif operation == 0x05:
            at += constant
        else:
            taken = {
                0x15: accumulator == constant,
                0x25: accumulator > constant,
                0x35: accumulator >= constant,
                0x45: bool(accumulator & constant),
            }[operation]
            at += jump_true if taken else jump_false
