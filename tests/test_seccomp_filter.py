# SPDX-License-Identifier: Apache-2.0
"""Filters made by libseccomp, run in an interpreter: what a profile says is what a system call gets."""

import operator
import platform
from collections.abc import Callable, Mapping

import pytest

from pyrunc.config.fields import Section
from pyrunc.errors import ConfigError, HostError
from pyrunc.linux.seccomp_rows import ARCHITECTURES
from pyrunc.seccomp import enosys, filter
from tests import sockfilter
from tests.sockfilter import AARCH64, ALLOW, ARM, ERRNO, KILL, LOG, RISCV64, S390X, TRACE, TRAP, X32, X86, X86_64, run

try:
    LIBRARY = filter.load()
except HostError as error:
    pytest.skip(str(error), allow_module_level=True)

NATIVE = int(LIBRARY.seccomp_arch_native())
EPERM, ENOSYS = ERRNO | 1, ERRNO | 38


def number(name: str, arch: int = NATIVE) -> int:
    return int(LIBRARY.seccomp_syscall_resolve_name_arch(arch, name.encode()))


def compiled(*rules: Mapping[str, object], default: str = "SCMP_ACT_ALLOW", **fields: object) -> bytes:
    data = {"defaultAction": default, "syscalls": list(rules), **fields}
    return filter.compile(Section(data, "/linux/seccomp"))


def errno_if(*args: dict[str, object], name: str = "personality") -> dict[str, object]:
    return {"names": [name], "action": "SCMP_ACT_ERRNO", "args": list(args)}


def arg(index: int, op: str, value: int, two: int = 0) -> dict[str, object]:
    return {"index": index, "value": value, "valueTwo": two, "op": "SCMP_CMP_" + op}


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("KILL", KILL),
        ("KILL_THREAD", KILL),
        ("KILL_PROCESS", sockfilter.KILL_PROCESS),
        ("TRAP", TRAP),
        ("ERRNO", EPERM),
        ("TRACE", TRACE | 1),
        ("LOG", LOG),
    ],
)
def test_each_action_of_a_rule_and_as_default(name: str, result: int) -> None:
    """SPEC-293, 307."""
    bpf = compiled({"names": ["mkdirat", "read"], "action": "SCMP_ACT_" + name})
    assert [run(bpf, NATIVE, number(call)) for call in ("mkdirat", "read", "write")] == [result, result, ALLOW]
    bpf = compiled({"names": ["read"], "action": "SCMP_ACT_ALLOW"}, default="SCMP_ACT_" + name)
    assert [run(bpf, NATIVE, number(call)) for call in ("write", "read")] == [result, ALLOW]


def test_errnos_of_a_rule_and_of_the_default() -> None:
    """SPEC-294, 308."""
    rule = {"names": ["mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 100}
    bpf = compiled(rule, {"names": ["read"], "action": "SCMP_ACT_ALLOW"}, default="SCMP_ACT_ERRNO", defaultErrnoRet=6)
    assert [run(bpf, NATIVE, number(call)) for call in ("mkdirat", "read", "write")] == [ERRNO | 100, ALLOW, ERRNO | 6]


OPERATORS: dict[str, Callable[[int, int], bool]] = {
    "NE": operator.ne,
    "LT": operator.lt,
    "LE": operator.le,
    "EQ": operator.eq,
    "GE": operator.ge,
    "GT": operator.gt,
}
EDGES = (0, 1, 7, 8, 2**31, 2**32 - 1, 2**32, 2**32 + 8, 2**63, 2**64 - 1)


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("value", [0, 8, 2**32 - 1, 2**32 + 8, 2**64 - 1])
def test_operators_compare_64_bits_unsigned(name: str, value: int) -> None:
    """SPEC-309."""
    bpf = compiled(errno_if(arg(2, name, value)))
    for given in EDGES:
        expected = EPERM if OPERATORS[name](given, value) else ALLOW
        assert run(bpf, NATIVE, number("personality"), 0, 0, given) == expected, (name, value, given)


@pytest.mark.parametrize(("mask", "value"), [(0x7E020000, 0), (8, 8), (0xFF00000000, 0x0100000000), (2**64 - 1, 5)])
def test_masked_eq_masks_with_the_first_value_and_compares_with_the_second(mask: int, value: int) -> None:
    """SPEC-309."""
    bpf = compiled(errno_if(arg(0, "MASKED_EQ", mask, value)))
    for given in (*EDGES, 5, 0x0100000000, 0x10000000):
        expected = EPERM if given & mask == value else ALLOW
        assert run(bpf, NATIVE, number("personality"), given) == expected


def test_conditions_on_several_arguments_are_all_needed() -> None:
    bpf = compiled(errno_if(arg(0, "EQ", 16), arg(2, "EQ", 9)))
    call = number("personality")
    assert [run(bpf, NATIVE, call, *args) for args in ((16, 0, 9), (16, 0, 8), (1, 0, 9))] == [EPERM, ALLOW, ALLOW]


def test_of_conditions_on_one_argument_any_suffices() -> None:
    """As runc and crun: a rule for each, the other arguments' conditions too."""
    bpf = compiled(errno_if(arg(0, "EQ", 1), arg(0, "EQ", 5), arg(1, "EQ", 7)))
    call = number("personality")
    results = [run(bpf, NATIVE, call, *args) for args in ((1, 0), (5, 0), (3, 7), (3, 0))]
    assert results == [EPERM, EPERM, EPERM, ALLOW]


def test_rules_of_one_call_add_up() -> None:
    bpf = compiled(errno_if(arg(0, "EQ", 1)), errno_if(arg(0, "EQ", 8)))
    assert [run(bpf, NATIVE, number("personality"), given) for given in (1, 8, 2)] == [EPERM, EPERM, ALLOW]


def test_unknown_system_calls_are_ignored() -> None:
    bpf = compiled({"names": ["nonesuch", "read"], "action": "SCMP_ACT_ERRNO"})
    assert run(bpf, NATIVE, number("read")) == EPERM


def test_a_rule_with_the_default_action_is_without_effect() -> None:
    """As runc; libseccomp would refuse it."""
    bpf = compiled({"names": ["read"], "action": "SCMP_ACT_ALLOW"}, {"names": ["write"], "action": "SCMP_ACT_ERRNO"})
    assert [run(bpf, NATIVE, number(name)) for name in ("read", "write")] == [ALLOW, EPERM]


def test_no_rules_at_all() -> None:
    assert run(compiled(), NATIVE, number("read")) == ALLOW
    assert run(compiled(default="SCMP_ACT_ERRNO"), NATIVE, 9999) == EPERM


@pytest.mark.parametrize("archs", [("X86_64", "X86", "X32"), ("AARCH64", "ARM"), ("RISCV64",)], ids=" ".join)
def test_each_architecture_has_its_own_numbers(archs: tuple[str, ...]) -> None:
    """SPEC-296; the machine's own architecture is in without being named, others end the process."""
    tokens = {"X86_64": X86_64, "X86": X86, "X32": X32, "AARCH64": AARCH64, "ARM": ARM, "RISCV64": RISCV64}
    names = ["SCMP_ARCH_" + arch for arch in archs]
    bpf = compiled({"names": ["mkdirat"], "action": "SCMP_ACT_ERRNO"}, architectures=names)
    for arch, token in tokens.items():
        audit = X86_64 if token == X32 else token
        results = [run(bpf, audit, number(call, token)) for call in ("mkdirat", "write")]
        assert results == ([EPERM, ALLOW] if arch in archs or token == NATIVE else [KILL, KILL]), arch


def test_architectures_that_libseccomp_does_not_know_are_refused() -> None:
    """The list of the specification is longer than the one of an old libseccomp."""
    for name in ARCHITECTURES:
        known = LIBRARY.seccomp_arch_resolve_name(name.removeprefix("SCMP_ARCH_").lower().encode())
        if not known:
            with pytest.raises(
                ConfigError, match=f"^/linux/seccomp/architectures/0: {name} is not known to libseccomp "
            ):
                compiled(architectures=[name])


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="needs a little-endian machine")
def test_an_architecture_of_another_byte_order_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^/linux/seccomp/architectures/1: libseccomp cannot add SCMP_ARCH_S390X"):
        compiled(architectures=["SCMP_ARCH_X86_64", "SCMP_ARCH_S390X"])


def test_two_actions_under_one_condition_are_refused_with_the_second_rule() -> None:
    rule = errno_if(arg(0, "EQ", 1))
    with pytest.raises(ConfigError) as caught:
        compiled(rule, {**rule, "action": "SCMP_ACT_TRAP"})
    assert str(caught.value) == (
        "/linux/seccomp/syscalls/1/names/0: libseccomp refuses the rule for personality:"
        " another rule for it has another action"
    )


def test_the_first_rule_without_conditions_stands() -> None:
    """As libseccomp has it, and so runc and crun: later ones, and all with conditions, are without effect."""
    plain, trap = errno_if(), {"names": ["personality"], "action": "SCMP_ACT_TRAP"}
    conditional = {**trap, "args": [arg(0, "EQ", 1)]}
    for rules, result in (((plain, trap), EPERM), ((trap, plain), TRAP), ((conditional, plain), EPERM)):
        assert run(compiled(*rules), NATIVE, number("personality"), 1) == result


def test_a_filter_too_long_for_the_kernel_is_refused() -> None:
    rules = [errno_if(arg(0, "EQ", value), arg(1, "EQ", value)) for value in range(900)]
    with pytest.raises(ConfigError, match=r"^/linux/seccomp: the filter has \d+ instructions, the kernel takes 4096$"):
        compiled(*rules)


@pytest.mark.parametrize("count", [31, 32, 33, 150])
def test_the_binary_tree_changes_no_result(count: int) -> None:
    """Above 32 system calls libseccomp is asked for a tree in place of a list."""
    names = LIBRARY_NAMES[:count]
    bpf = compiled({"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": 99})
    chosen = {number(name) for name in names}
    for call in range(460):
        assert run(bpf, NATIVE, call) == (ERRNO | 99 if call in chosen else ALLOW), call


def _names() -> list[str]:
    import ctypes

    resolve = LIBRARY.seccomp_syscall_resolve_num_arch
    resolve.argtypes, resolve.restype = (ctypes.c_uint32, ctypes.c_int), ctypes.c_char_p
    return [name.decode() for call in range(0, 460, 2) if (name := resolve(NATIVE, call))]


LIBRARY_NAMES = _names()


def test_calls_newer_than_the_profile_get_enosys() -> None:
    """As runc: programs that probe for a new call fall back upon ENOSYS only."""
    rule = {"names": ["read", "clone3"], "action": "SCMP_ACT_ALLOW"}
    bpf = compiled(rule, default="SCMP_ACT_ERRNO")
    calls = (number("read"), number("mkdirat"), number("clone3"), number("clone3") + 1, 9999)
    assert [run(bpf, NATIVE, call) for call in calls] == [ALLOW, EPERM, ALLOW, ENOSYS, ENOSYS]


@pytest.mark.parametrize(
    ("default", "result"), [("KILL_PROCESS", ENOSYS), ("TRAP", ENOSYS), ("ALLOW", ALLOW), ("LOG", LOG)]
)
def test_enosys_replaces_only_defaults_that_refuse(default: str, result: int) -> None:
    bpf = compiled({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5}, default="SCMP_ACT_" + default)
    assert run(bpf, NATIVE, 9999) == result


def test_a_tracer_is_asked_about_new_calls() -> None:
    bpf = compiled({"names": ["clone3"], "action": "SCMP_ACT_ALLOW"}, default="SCMP_ACT_TRACE")
    assert run(bpf, NATIVE, 9999) == TRACE | 1


def test_a_short_profile_keeps_its_default_for_old_calls() -> None:
    """What every kernel of the last decade has is refused, not missing (runc answers ENOSYS here)."""
    bpf = compiled({"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"}, default="SCMP_ACT_ERRNO")
    results = [run(bpf, NATIVE, number(name)) for name in ("mkdirat", "process_vm_writev", "clone3")]
    assert results == [EPERM, EPERM, ENOSYS]


def test_the_prologue_tells_architectures_apart() -> None:
    passed = struct_return(ALLOW)
    newest = {X86_64: 400, X86: 300, X32: 0x40000000 | 200, S390X: 100}
    bpf = enosys.assemble(newest) + passed
    for token, last in newest.items():
        audit = X86_64 if token == X32 else token
        assert [run(bpf, audit, call) for call in (last - 1, last, last + 1)] == [ALLOW, ALLOW, ENOSYS]
    assert [run(bpf, S390X, 0), run(bpf, X86_64, 0), run(bpf, AARCH64, 9999)] == [ENOSYS, ALLOW, ALLOW]
    assert run(enosys.assemble({X86_64: 400}) + passed, X86_64, 0x40000000 | 9999) == ALLOW
    assert run(enosys.assemble({X32: 0x40000000 | 9}) + passed, X86_64, 9999) == ALLOW
    assert run(enosys.assemble({X32: 0x40000000 | 9}) + passed, X86_64, 0x4000000A) == ENOSYS


def struct_return(value: int) -> bytes:
    return b"\x06\0\0\0" + value.to_bytes(4, "little")


def test_arm_private_calls_are_no_measure_of_age() -> None:
    rule = {"names": ["set_tls", "clone3"], "action": "SCMP_ACT_ALLOW"}
    bpf = compiled(rule, default="SCMP_ACT_ERRNO", architectures=["SCMP_ARCH_ARM"])
    assert run(bpf, ARM, 9999) == ENOSYS


def test_a_missing_libseccomp_is_an_error_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filter, "SONAME", "libnonesuch.so.2")
    with pytest.raises(HostError, match=r"^/linux/seccomp: libseccomp cannot be loaded: .*libseccomp2"):
        compiled()
