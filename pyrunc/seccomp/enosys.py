# SPDX-License-Identifier: Apache-2.0
"""ENOSYS for system calls that are newer than the profile, as runc answers them since 1.0.0-rc93.

A program that probes for a new system call falls back to an old one upon ENOSYS, not upon the EPERM of a profile that
does not know the call (glibc with clone3, faccessat2, close_range …). So a prologue before libseccomp's program answers
ENOSYS for every number above the highest that the profile names, on each architecture.
"""

from struct import pack

from pyrunc.config.fields import Section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ctypes import CDLL

_PERMISSIVE = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE")
"""Default actions that let an unknown call through, or to a tracer that knows better."""

_ENOSYS = 38

_OLDEST = "process_vm_writev"
"""The newest system call of Linux 3.2, the oldest kernel of glibc: no program takes one of these for missing.

So the default action stays what a short profile says for them; runc, without this bound, answers ENOSYS for mkdir when
a profile names only lower numbers.
"""

_X86_64 = 0xC000003E
_X32 = 0x4000003E
_S390 = (0x00000016, 0x80000016)
_X32_BIT = 0x40000000
_ARM_PRIVATE = 0xF0000
"""ARM's own calls (breakpoint, set_tls …) stand above all others, and say nothing about a profile's age."""

# linux/bpf_common.h: BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JA|JEQ|JGT|JSET with BPF_K, BPF_RET|BPF_K
_LOAD, _GOTO, _JEQ, _JGT, _JSET, _RETURN = 0x20, 0x05, 0x15, 0x25, 0x45, 0x06
_NUMBER_OFFSET, _ARCH_OFFSET = 0, 4
"""Of nr and arch in struct seccomp_data (linux/seccomp.h)."""

_REFUSE = (_RETURN, 0, 0, 0x00050000 | _ENOSYS)


def prologue(library: "CDLL", section: Section, tokens: list[int]) -> bytes:
    """The instructions to put before a program of libseccomp for the architectures `tokens`; b"" if none is needed."""
    if section.text("defaultAction") in _PERMISSIVE or section.integer("defaultErrnoRet", 0, 0xFFFF, 0) == _ENOSYS:
        return b""
    names = [name.encode() for rule in section.sections("syscalls") for name in rule.texts("names")]
    if not names:
        return b""
    newest = {token: _newest(library, token, names) for token in tokens}
    return assemble({token: number for token, number in newest.items() if number > 0})


def assemble(newest: dict[int, int]) -> bytes:
    """The prologue for {architecture: highest number that is not ENOSYS}; falls through to what stands behind it."""
    blocks: list[_Instructions] = []
    for token, number in newest.items():
        if token == _X86_64:
            blocks.append(_x86_64_block(number, newest.get(_X32)))
        elif token != _X32:
            blocks.append(_block(token, number))
    if _X32 in newest and _X86_64 not in newest:
        blocks.append(_x86_64_block(None, newest[_X32]))
    left = sum(map(len, blocks))
    program = [(_LOAD, 0, 0, _ARCH_OFFSET)]
    for block in blocks:
        left -= len(block)
        program += block[:-1]
        program.append((_GOTO, 0, 0, left))  # from the end of this block to the program behind all blocks
    return b"".join([pack("=HBBI", *instruction) for instruction in program])


_Instructions = list[tuple[int, int, int, int]]
_GO_ON = (_GOTO, 0, 0, 0)


def _block(token: int, number: int) -> _Instructions:
    """If the architecture is `token`: ENOSYS above `number`, else the next block."""
    body: _Instructions = [(_LOAD, 0, 0, _NUMBER_OFFSET)]
    if token in _S390:
        # Number 0, setup(2), gone for decades: the kernel leaves it there for a number that it does not know
        body.append((_JEQ, 1, 0, 0))
    body += [(_JGT, 0, 1, number), _REFUSE, _GO_ON]
    return [(_JEQ, 0, len(body), token), *body]


def _x86_64_block(number: "int | None", number_x32: "int | None") -> _Instructions:
    """x86_64 and x32 are one architecture to the kernel; bit 30 of the number tells them apart."""
    body: _Instructions = [
        (_LOAD, 0, 0, _NUMBER_OFFSET),
        (_JSET, 1, 0, _X32_BIT),
        (_JGT, 1, 2, 0xFFFFFFFF if number is None else number),
        (_JGT, 0, 1, 0xFFFFFFFF if number_x32 is None else number_x32),
        _REFUSE,
        _GO_ON,
    ]
    return [(_JEQ, 0, len(body), _X86_64), *body]


def _newest(library: "CDLL", token: int, names: list[bytes]) -> int:
    resolve = library.seccomp_syscall_resolve_name_arch
    numbers: list[int] = [resolve(token, name) for name in (*names, _OLDEST.encode())]
    return max(number for number in numbers if number < 0 or number & _ARM_PRIVATE != _ARM_PRIVATE)
