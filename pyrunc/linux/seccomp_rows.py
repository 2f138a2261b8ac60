# SPDX-License-Identifier: Apache-2.0
"""Names of linux.seccomp (config-linux.md#seccomp) and their numbers: seccomp(2), linux/seccomp.h, seccomp_init(3)."""

SECCOMP_SET_MODE_FILTER = 1
SECCOMP_FILTER_FLAG_NEW_LISTENER = 8
NOTIFY = "SCMP_ACT_NOTIFY"

BPF_MAXINSNS = 4096
"""Most instructions that the kernel takes in one filter (linux/bpf_common.h)."""

# name: (SECCOMP_RET_* of the kernel, highest value of errnoRet; 0: the action takes none).
# The kernel cuts an errno at MAX_ERRNO; a tracer gets all 16 bits (PTRACE_GETEVENTMSG).
ACTIONS: dict[str, tuple[int, int]] = {
    "SCMP_ACT_KILL": (0x00000000, 0),
    "SCMP_ACT_KILL_PROCESS": (0x80000000, 0),
    "SCMP_ACT_KILL_THREAD": (0x00000000, 0),
    "SCMP_ACT_TRAP": (0x00030000, 0),
    "SCMP_ACT_ERRNO": (0x00050000, 4095),
    "SCMP_ACT_TRACE": (0x7FF00000, 0xFFFF),
    "SCMP_ACT_ALLOW": (0x7FFF0000, 0),
    "SCMP_ACT_LOG": (0x7FFC0000, 0),
    "SCMP_ACT_NOTIFY": (0x7FC00000, 0),
}

# name: enum scmp_compare
OPERATORS: dict[str, int] = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}

# libseccomp's name of an architecture is the part behind SCMP_ARCH_, in lower case. Its number is that of
# linux/audit.h, but for x32, which the kernel tells from x86_64 by a bit of the system call's number.
ARCHITECTURES: tuple[str, ...] = (
    "SCMP_ARCH_X86",
    "SCMP_ARCH_X86_64",
    "SCMP_ARCH_X32",
    "SCMP_ARCH_ARM",
    "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_M68K",
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",
    "SCMP_ARCH_SH",
    "SCMP_ARCH_SHEB",
    "SCMP_ARCH_PARISC",
    "SCMP_ARCH_PARISC64",
    "SCMP_ARCH_RISCV64",
)

# name: bit of seccomp(2)
FLAGS: dict[str, int] = {
    "SECCOMP_FILTER_FLAG_TSYNC": 1,
    "SECCOMP_FILTER_FLAG_LOG": 2,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 4,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": 32,
}
