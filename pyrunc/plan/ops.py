# SPDX-License-Identifier: Apache-2.0
"""The instruction set of the helper, and its wire format; pyrunc/init/ops.h is written from this module.

    header | initial registers, s64 each | instructions, 72 bytes each | relocations, u32 each | blob

An operand is an immediate, an offset into the blob (the helper adds the blob's address), a register, or the four bytes
at an offset of the blob. A relocation is the blob offset of a u64 that holds a blob offset: arrays of pointers (argv)
and pointers in structs. Numbers are in the machine's byte order, which is little-endian on both machines.
`python -m pyrunc.plan.ops` prints ops.h.

Reports of the helper, one write(2) each: u8 kind, u8 0, u16 length of the detail, u32 instruction, s64 value, detail.
"""

FORMAT_MAGIC = 0x49525950
FORMAT_VERSION = 1
PROGRAM_MAX = 32 << 20
REGISTERS_MAX = 60_000
DETAIL_MAX = 1024
NO_REGISTER = 0xFFFF

HEADER = "<IHHIIIiiI"
INSTRUCTION = "<BxHHHH6s6s2x%dq%dx"
"""Code, what to skip on success and on an error, number, result register, kinds of the operands, accepted errnos; as
many operands as there are (%), and the bytes of the others."""
OPERANDS_MAX = 6
INSTRUCTION_SIZE = 72
REPORT = "<BBHIq"
REPORT_SIZE = 16

IMMEDIATE, BLOB, REGISTER, LOAD = 0, 1, 2, 3

SYSCALL = 1
STORE = 2
MKPATH = 3
CHECK = 4
CLONE = 5
SYNC = 6
HOOK = 7
EXEC = 8
CHANNEL = 9
JUMP = 10

INSTRUCTIONS = (
    ("SYSCALL", SYSCALL, "nr; 6 operands; result register; accepted errnos"),
    ("STORE", STORE, "0: address, 1: bytes (4 or 8), 2: value; a register into a struct of the blob"),
    ("MKPATH", MKPATH, "0: root fd, 1: path, 2: kind, 3: mode, 4: fd to be like; result: O_PATH fd"),
    (
        "CHECK",
        CHECK,
        "0: fd or address, 1: CHECK_NODE, CHECK_FS, CHECK_OTHER_FS or CHECK_BYTE, 2: type, magic or byte, 3: device",
    ),
    ("CLONE", CLONE, "0: struct clone_args, 1: its size; the child reports its pid and goes on, the parent leaves"),
    (
        "SYNC",
        SYNC,
        "0: point, 1 and 2: fds to look at; reports them and waits for one zero byte, anything else ends the helper",
    ),
    ("HOOK", HOOK, "0: path, 1: argv, 2: envp, 3: fd for stdin, 4: milliseconds or 0"),
    ("EXEC", EXEC, "0: array of paths to try, 1: argv, 2: envp"),
    ("CHANNEL", CHANNEL, "0: fd for reports, 1: fd for answers; from here on"),
    ("JUMP", JUMP, "goes on skip_ok instructions further, or where operand 0 is an accepted errno skip_err"),
)

KIND_DIRECTORY, KIND_FILE, KIND_LIKE = 0, 1, 2
CHECK_NODE, CHECK_FS, CHECK_BYTE, CHECK_OTHER_FS = 0, 1, 2, 3

PREPARE, READY, CREATED, COPY_UP, LISTENER, NETWORK = 1, 2, 3, 4, 5, 6
"""The points of SYNC: write id maps and join cgroups; record the container; run host hooks; fill a tmpfs; send the
listener of the filter to its agent; move network devices in."""

REPORT_PID = 1
REPORT_SYNC = 2
REPORT_ERROR = 3
REPORT_HOOK = 4
REPORT_EXECUTING = 5
"""Written by the program itself when nothing is left but what seccomp and execve may still refuse: only behind it is
the end of the reports success."""

HOOK_TIMED_OUT = -1
"""Value of REPORT_HOOK for a hook that was killed at its deadline; for the others a wait status, or one of the next."""
HOOK_NOT_EXECUTED = -1000
"""HOOK_NOT_EXECUTED - errno: execve(2) failed; 2 * HOOK_NOT_EXECUTED - errno: what comes before it did."""

_CONSTANTS = (
    "FORMAT_MAGIC FORMAT_VERSION PROGRAM_MAX REGISTERS_MAX DETAIL_MAX NO_REGISTER IMMEDIATE BLOB REGISTER LOAD"
    " KIND_DIRECTORY KIND_FILE KIND_LIKE CHECK_NODE CHECK_FS CHECK_BYTE CHECK_OTHER_FS"
    " REPORT_PID REPORT_SYNC REPORT_ERROR REPORT_HOOK HOOK_TIMED_OUT HOOK_NOT_EXECUTED"
)


def header() -> str:
    """The text of pyrunc/init/ops.h."""
    lines = [
        "/* SPDX-License-Identifier: Apache-2.0 */",
        "/* Written by `python -m pyrunc.plan.ops`; do not edit. */",
        "#ifndef PYRUNC_OPS_H",
        "#define PYRUNC_OPS_H",
        "",
    ]
    lines += [f"#define {name} ({globals()[name]})" for name in _CONSTANTS.split()]
    lines += ["", "enum op_code {"]
    for name, code, text in INSTRUCTIONS:
        lines += [f"\t/* {text} */", f"\tOP_{name} = {code},"]
    lines += ["};", "", "#endif", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    import sys

    sys.stdout.write(header())
