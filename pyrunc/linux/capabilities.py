# SPDX-License-Identifier: Apache-2.0
"""Capabilities by their numbers: capabilities(7), linux/capability.h of Linux 6.18."""

CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)

SYS_ADMIN = 1 << 21

_BITS = {name: 1 << number for number, name in enumerate(CAPABILITIES)}


def mask(names: list[str]) -> int:
    """The set as bits; a name that is not in CAPABILITIES adds none, and never another one."""
    bits = 0
    get = _BITS.get
    for name in names:
        bits |= get(name, 0)
    return bits


def unknown(names: list[str], last: int) -> list[str]:
    """Those names that no capability up to number `last`, the kernel's highest, has."""
    return [name for name in names if not 0 < _BITS.get(name, 0) < 2 << last]


def names(bits: int) -> list[str]:
    """The names of a set, and numbers (as capsh(1) writes them) for those without."""
    numbers = [number for number in range(bits.bit_length()) if bits >> number & 1]
    return [CAPABILITIES[number] if number < len(CAPABILITIES) else str(number) for number in numbers]
