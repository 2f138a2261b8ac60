# SPDX-License-Identifier: Apache-2.0
"""The device list with its defaults, as lines of cgroup v1 and as an eBPF program of v2, which an interpreter runs."""

from struct import iter_unpack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc.cgroups.devices_list import transition
from pyrunc.config.fields import Config
from pyrunc.errors import ConfigError
from pyrunc.linux.host import Host
from pyrunc.plan.device_filter import ALL, RWM, Rule, assemble, compile, final, of_config, text
from pyrunc.plan.program import Program

DENY_ALL = {"allow": False, "access": "rwm"}
MKNOD, READ, WRITE = 1, 2, 4


def of(*devices: dict[str, object], own: list[str] | None = None) -> tuple[bool, list[Rule]]:
    linux = {"resources": {"devices": list(devices)}, "devices": [{"path": path} for path in own or []]}
    return of_config(Config({"linux": linux}, "/b"))


def run(code: bytes, kind: str, major: int, minor: int, access: int) -> int:
    """A minimal eBPF machine: the instructions that assemble uses; any other fails."""
    context = {0: access << 16 | {"b": 1, "c": 2}[kind], 4: major, 8: minor}
    program = list(iter_unpack("=BBhI", code))
    registers, at = [0] * 6, 0
    while True:
        operation, pair, offset, value = program[at]
        target, source = pair & 15, pair >> 4
        at += 1
        if operation == 0x95:
            return registers[0]
        if operation in {0x16, 0x56}:
            at += offset if (registers[target] == value) == (operation == 0x16) else 0
            continue
        match operation:
            case 0x61:
                registers[target] = context[offset]
            case 0xB4:
                registers[target] = value
            case 0xBC:
                registers[target] = registers[source]
            case 0x54:
                registers[target] &= value
            case 0x74:
                registers[target] >>= value
            case _:
                pytest.fail(f"the program has the instruction {operation:#x}")


def decide(default: bool, rules: list[Rule], kind: str, major: int, minor: int, access: int) -> bool:
    """What the specification says: for each bit the last rule that matches."""
    for bit in (MKNOD, READ, WRITE):
        if not access & bit:
            continue
        matches = [
            rule.allow
            for rule in rules
            if rule.type == kind and rule.major in {ALL, major} and rule.minor in {ALL, minor} and rule.access & bit
        ]
        if not (matches[-1] if matches else default):
            return False
    return True


rules_strategy = st.lists(
    st.builds(
        Rule,
        st.booleans(),
        st.sampled_from("bc"),
        st.sampled_from([ALL, 1, 2, 2**32 - 1]),
        st.sampled_from([ALL, 0, 3]),
        st.integers(1, 7),
    ),
    max_size=6,
)


@given(
    st.booleans(),
    rules_strategy,
    st.sampled_from("bc"),
    st.sampled_from([1, 2, 2**32 - 1]),
    st.sampled_from([0, 3]),
    st.integers(1, 7),
)
def test_the_program_decides_as_the_specification(
    default: bool, rules: list[Rule], kind: str, major: int, minor: int, access: int
) -> None:
    """Any list, any device, any access: the last match of each bit wins."""
    code = assemble(default, rules)
    assert run(code, kind, major, minor, access) == decide(default, rules, kind, major, minor, access)


@pytest.mark.parametrize(
    ("request_", "allowed"),
    [
        (("c", 1, 3, READ | WRITE), True),
        (("c", 5, 2, READ | WRITE), True),
        (("c", 136, 7, READ | WRITE), True),
        (("c", 10, 200, READ | WRITE), True),
        (("c", 1, 11, READ), False),
        (("c", 1, 11, MKNOD), True),
        (("b", 8, 0, MKNOD), True),
        (("b", 8, 0, READ), False),
    ],
)
def test_defaults(request_: tuple[str, int, int, int], allowed: bool) -> None:
    """Behind "deny all": the default devices, ptys, tun, and mknod of anything; also without any list."""
    for devices in ((DENY_ALL,), ()):
        assert run(assemble(*of(*devices)), *request_) == allowed


def test_a_device_of_the_config_replaces_its_default() -> None:
    """Where linux.devices has its own /dev/null, the rule for the default one is not added (runc, createDevices)."""
    assert run(assemble(*of(DENY_ALL)), "c", 1, 3, READ)
    assert not run(assemble(*of(DENY_ALL, own=["/dev/null"])), "c", 1, 3, READ)


def test_order_and_unset_members() -> None:
    """The last match wins; unset type, major, minor and access mean all."""
    allow = {"allow": True, "type": "c", "major": 9, "access": "rw"}
    deny = {"allow": False, "type": "c", "major": 9, "minor": 1, "access": "w"}
    code = assemble(*of(DENY_ALL, allow, deny))
    assert [run(code, "c", 9, minor, WRITE) for minor in (0, 1)] == [1, 0]
    assert run(code, "c", 9, 1, READ)
    assert run(assemble(*of(deny, {"allow": True})), "b", 8, 0, RWM)


def test_allow_all_needs_no_program() -> None:
    """A privileged container has no rule left, and no filter."""
    assert of(DENY_ALL, {"allow": True, "access": "rwm"}) == (True, [])
    program = Program()
    config = Config({"linux": {"resources": {"devices": [{"allow": True, "access": "rwm"}]}}}, "/b")
    compile(config, Host(cgroup_mode="v2"), program, cgroup_fd=program.input("cgroup"))
    assert program.ops == []


def test_denials_in_an_allow_all_list_stay() -> None:
    """The default "mknod of anything" does not undo the half of a denial by name."""
    code = assemble(*of({"allow": True}, {"allow": False, "type": "c", "major": 1, "minor": 11, "access": "rwm"}))
    assert [run(code, "c", 1, 11, access) for access in (MKNOD, READ, WRITE)] == [0, 0, 0]
    assert run(code, "b", 8, 0, RWM)


@pytest.mark.parametrize(
    ("entry", "pointer"),
    [
        ({"access": "rwm"}, "/allow"),
        ({"allow": True, "type": "x"}, "/type"),
        ({"allow": True, "access": "rx"}, "/access"),
        ({"allow": True, "access": ""}, "/access"),
        ({"allow": True, "major": -2}, "/major"),
        ({"allow": True, "minor": 2**32}, "/minor"),
    ],
)
def test_refused_rules(entry: dict[str, object], pointer: str) -> None:
    """Errors name the entry and its member."""
    with pytest.raises(ConfigError) as caught:
        of(DENY_ALL, entry)
    assert caught.value.pointer == f"/linux/resources/devices/1{pointer}"


def test_the_plan_loads_and_attaches() -> None:
    """Two calls of bpf(2) and a close, each with the field as its origin; none on v1, none rootless."""
    program = Program()
    compile(Config({}, "/b"), Host(cgroup_mode="v2"), program, cgroup_fd=program.input("cgroup"))
    assert [op.name for op in program.ops if op.name != "store"] == ["bpf", "bpf", "close"]
    assert {op.origin for op in program.ops} == {"/linux/resources/devices"}
    for host in (Host(cgroup_mode="v1"), Host(cgroup_mode="hybrid"), Host(cgroup_mode="v2", uid=1000)):
        other = Program()
        compile(Config({}, "/b"), host, other, cgroup_fd=other.input("cgroup"))
        assert other.ops == []


def test_exceptions_of_v1() -> None:
    """A list for v1 has each device once; a denial takes from what it covers."""
    rules = [Rule(True, "c", 9, 1, RWM), Rule(True, "c", 9, 1, READ), Rule(False, "c", 9, ALL, WRITE)]
    assert [text(rule) for rule in final(False, rules)[1]] == ["c 9:1 rm"]


def test_v1_cannot_have_holes() -> None:
    """The kernel would take "deny c 9:1" within "allow c 9:*" and not do it: refused, as runc does."""
    rules = [Rule(True, "c", 9, ALL), Rule(False, "c", 9, 1, RWM, "/linux/resources/devices/2")]
    with pytest.raises(ConfigError, match="c 9:\\* rwm") as caught:
        final(False, rules)
    assert caught.value.pointer == "/linux/resources/devices/2"


def test_transition_of_v1_writes_only_the_difference() -> None:
    """An update leaves what stays; from "all allowed" the list begins anew."""
    current = {("c", "1:3"): "rwm", ("c", "9:1"): "rw"}
    wanted = [Rule(True, "c", 1, 3), Rule(True, "c", 9, 1, READ), Rule(True, "b", 8, ALL, MKNOD)]
    assert transition(current, False, wanted) == [("c 9:1 w", False), ("b 8:* m", True)]
    assert transition(None, False, wanted[:1]) == [("a *:* rwm", False), ("c 1:3 rwm", True)]
    assert transition(None, True, [Rule(False, "c", 1, 3)]) == [("a *:* rwm", True), ("c 1:3 rwm", False)]
