# SPDX-License-Identifier: Apache-2.0
"""A profile (linux.seccomp) compiled to a BPF program by libseccomp, through ctypes; loaded only for a new profile.

libseccomp knows the numbers of the system calls on every architecture and builds the program. What runc adds to it is
in seccomp/enosys.py. Where a profile leaves something open, the answer is the one of runc and crun.
"""

import posix
from errno import EEXIST, EINVAL
from struct import pack

from pyrunc.config.crun_words import FAIL_UNKNOWN
from pyrunc.config.fields import Section
from pyrunc.errors import ConfigError, HostError
from pyrunc.linux.errnos import reason
from pyrunc.linux.seccomp_rows import BPF_MAXINSNS
from pyrunc.seccomp import enosys, profile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ctypes import CDLL, c_void_p

SONAME = "libseccomp.so.2"
INSTRUCTION_SIZE = 8
"""Bytes of a struct sock_filter (linux/filter.h)."""

_SCMP_FLTATR_CTL_OPTIMIZE = 8
_BINARY_TREE = 2
_TREE_FROM = 32
"""As runc: with no rules at all the binary tree of libseccomp up to 2.5.4 is wrong, and with few it saves nothing."""

_MFD_NOEXEC_SEAL = 8
"""Linux 6.3; with the sysctl vm.memfd_noexec=2 there is no memfd without it."""

_UNKNOWN = -1
"""__NR_SCMP_ERROR; other negative numbers stand for calls that only other architectures have."""


def compile(section: Section) -> bytes:
    """The array of struct sock_filter of a profile, in the machine's byte order.

    Raises ConfigError with a pointer for what the specification, libseccomp or the kernel does not take, and HostError
    when libseccomp is not installed.
    """
    profile.check(section)
    library = load()
    default = profile.action(section, "defaultAction", "defaultErrnoRet")
    context = library.seccomp_init(default)
    if not context:
        raise section.refuse(
            "defaultAction", f"{section.text('defaultAction')} is not known to this kernel or libseccomp"
        )
    try:
        tokens = _add_architectures(library, context, section)
        _add_rules(library, context, section, default)
        program = enosys.prologue(library, section, tokens) + _export(library, context, section)
    finally:
        library.seccomp_release(context)
    count = len(program) // INSTRUCTION_SIZE
    if count > BPF_MAXINSNS:
        raise ConfigError(f"the filter has {count} instructions, the kernel takes {BPF_MAXINSNS}", section.pointer)
    return program


def load() -> "CDLL":
    """The library libseccomp, the types of its functions set: seccomp_init(3), seccomp_rule_add(3) …"""
    import ctypes

    try:
        library = ctypes.CDLL(SONAME)
    except OSError as error:
        raise HostError(
            f"libseccomp cannot be loaded: {error}; Debian's package is libseccomp2", "/linux/seccomp"
        ) from error
    number, whole, address = ctypes.c_uint32, ctypes.c_int, ctypes.c_void_p
    for name, result, arguments in (
        ("seccomp_init", address, (number,)),
        ("seccomp_release", None, (address,)),
        ("seccomp_version", ctypes.POINTER(ctypes.c_uint * 3), ()),
        ("seccomp_attr_set", whole, (address, whole, number)),
        ("seccomp_arch_native", number, ()),
        ("seccomp_arch_resolve_name", number, (ctypes.c_char_p,)),
        ("seccomp_arch_add", whole, (address, number)),
        ("seccomp_syscall_resolve_name", whole, (ctypes.c_char_p,)),
        ("seccomp_syscall_resolve_name_arch", whole, (number, ctypes.c_char_p)),
        ("seccomp_rule_add_array", whole, (address, number, whole, ctypes.c_uint, address)),
        ("seccomp_export_bpf", whole, (address, whole)),
    ):
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


def version(library: "CDLL") -> str:
    """The version of libseccomp: "2.5.4"."""
    return ".".join(str(part) for part in library.seccomp_version().contents)


def _add_architectures(library: "CDLL", context: "c_void_p", section: Section) -> list[int]:
    """Add the profile's architectures to the machine's own, which is always in; the numbers of all of them."""
    tokens = [library.seccomp_arch_native()]
    for index, name in enumerate(section.texts("architectures")):
        pointer = f"{section.at('architectures')}/{index}"
        token = library.seccomp_arch_resolve_name(name.removeprefix("SCMP_ARCH_").lower().encode())
        if not token:
            raise ConfigError(f"{name} is not known to libseccomp {version(library)}", pointer)
        failed = -library.seccomp_arch_add(context, token)
        if failed and failed != EEXIST:
            raise ConfigError(
                f"libseccomp cannot add {name} to the machine's own architecture: {_reason(failed)}", pointer
            )
        if token not in tokens:
            tokens.append(token)
    return tokens


def _add_rules(library: "CDLL", context: "c_void_p", section: Section, default: int) -> None:
    rules = section.sections("syscalls")
    if sum(len(rule.texts("names")) for rule in rules) > _TREE_FROM:
        library.seccomp_attr_set(context, _SCMP_FLTATR_CTL_OPTIMIZE, _BINARY_TREE)
    for rule in rules:
        action = profile.action(rule, "action", "errnoRet")
        if action == default:
            continue
        alternatives = _alternatives([profile.condition(argument) for argument in rule.sections("args")])
        for index, name in enumerate(rule.texts("names")):
            number = library.seccomp_syscall_resolve_name(name.encode())
            if number == _UNKNOWN:
                if section.has(FAIL_UNKNOWN):
                    raise ConfigError(
                        f"libseccomp {version(library)} knows no system call {name}", f"{rule.at('names')}/{index}"
                    )
                continue  # as runc: a profile lists more than this libseccomp or kernel has
            for count, conditions in alternatives:
                failed = -library.seccomp_rule_add_array(context, action, number, count, conditions)
                if failed:
                    pointer = f"{rule.at('names')}/{index}"
                    raise ConfigError(f"libseccomp refuses the rule for {name}: {_reason(failed)}", pointer)


def _alternatives(conditions: list[tuple[int, int, int, int]]) -> list[tuple[int, bytes]]:
    """The rules for one system call, each a number of conditions and their array of struct scmp_arg_cmp.

    It is one rule with all conditions; but where two are on the same argument, one rule for each, so that any of them
    suffices: libseccomp takes an argument once in a rule, and this is how runc and crun read such a profile.
    """
    packed = [pack("@IiQQ", *condition) for condition in conditions]
    if len({condition[0] for condition in conditions}) < len(conditions):
        return [(1, comparison) for comparison in packed]
    return [(len(packed), b"".join(packed))]


def _export(library: "CDLL", context: "c_void_p", section: Section) -> bytes:
    fd = _memory()
    try:
        failed = -library.seccomp_export_bpf(context, fd)
        if failed:
            raise ConfigError(f"libseccomp cannot build the filter: {_reason(failed)}", section.pointer)
        return posix.pread(fd, posix.fstat(fd).st_size, 0)
    finally:
        posix.close(fd)


def _memory() -> int:
    try:
        return posix.memfd_create("seccomp", posix.MFD_CLOEXEC | _MFD_NOEXEC_SEAL)
    except OSError as error:
        if error.errno != EINVAL:
            raise
        return posix.memfd_create("seccomp", posix.MFD_CLOEXEC)


def _reason(number: int) -> str:
    if number == EEXIST:
        return "another rule for it has another action"
    if number == EINVAL:
        return "invalid argument"
    return reason(number)
