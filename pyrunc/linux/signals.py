# SPDX-License-Identifier: Apache-2.0
"""Signal names and numbers: signal(7), asm-generic/signal.h (so on x86_64, aarch64, riscv64, arm, s390x, ppc64le)."""

from pyrunc.errors import UsageError

NAMES = {
    "HUP": 1,
    "INT": 2,
    "QUIT": 3,
    "ILL": 4,
    "TRAP": 5,
    "ABRT": 6,
    "IOT": 6,
    "BUS": 7,
    "FPE": 8,
    "KILL": 9,
    "USR1": 10,
    "SEGV": 11,
    "USR2": 12,
    "PIPE": 13,
    "ALRM": 14,
    "TERM": 15,
    "STKFLT": 16,
    "CHLD": 17,
    "CLD": 17,
    "CONT": 18,
    "STOP": 19,
    "TSTP": 20,
    "TTIN": 21,
    "TTOU": 22,
    "URG": 23,
    "XCPU": 24,
    "XFSZ": 25,
    "VTALRM": 26,
    "PROF": 27,
    "WINCH": 28,
    "IO": 29,
    "POLL": 29,
    "PWR": 30,
    "SYS": 31,
}

# The kernel's first is 32, but glibc keeps two for its threads; images and engines count as glibc does.
RTMIN = 34
RTMAX = 64


def number(text: str) -> int:
    """The signal of a decimal number from 0 (none is sent, existence is tested) to 64, or of a name; else UsageError.

    Names: any case, with or without SIG, and RTMIN, RTMIN+n, RTMAX, RTMAX-n.
    """
    if text.isascii() and text.isdigit():
        value: int | None = int(text) if len(text) <= 3 and int(text) <= RTMAX else None
    else:
        name = text.upper().removeprefix("SIG")
        value = _real_time(name) if name[:5] in {"RTMIN", "RTMAX"} else NAMES.get(name)
    if value is None:
        raise UsageError(f'unknown signal "{text}"')
    return value


def _real_time(name: str) -> int | None:
    base, sign = (RTMIN, "+") if name.startswith("RTMIN") else (RTMAX, "-")
    offset = name[5:]
    if not offset:
        return base
    digits = offset[1:]
    if offset[0] != sign or not (digits.isascii() and digits.isdigit() and len(digits) <= 2):
        return None
    value = base + int(digits) if sign == "+" else base - int(digits)
    return value if RTMIN <= value <= RTMAX else None
