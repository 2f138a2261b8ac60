# SPDX-License-Identifier: Apache-2.0
"""linux.resources.devices (config-linux.md#allowed-device-list) with its defaults, as an eBPF program on cgroup v2.

For each access bit (mknod, read, write) the last rule that matches device and bit decides; without one it is denied.
The program goes through the rules from the last to the first and keeps the bits that are not decided yet in r3.
cgroup v1 takes the same rules as text: cgroups/v1.py.
"""

from _struct import pack

from pyrunc.errors import ConfigError
from pyrunc.plan.program import Program, Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.config.fields import Config, Section
    from pyrunc.linux.host import Host
    from pyrunc.plan.program import Op

POINTER = "/linux/resources/devices"
ALL = -1
_MAX32 = 2**32 - 1

# linux/bpf.h
BPF_PROG_LOAD, BPF_PROG_ATTACH = 5, 8
BPF_PROG_TYPE_CGROUP_DEVICE = 15
BPF_CGROUP_DEVICE = 6
BPF_F_ALLOW_MULTI = 2
LOAD = "IIQQ"  # of union bpf_attr: prog_type, insn_cnt, insns, license; the kernel takes the rest as 0
LOAD_SIZE = 24
ATTACH = "IIII"  # target_fd, attach_bpf_fd, attach_type, attach_flags
ATTACH_SIZE = 16
LICENSE = "Apache-2.0"
_BLOCK, _CHAR = 1, 2  # BPF_DEVCG_DEV_*
_BITS = {"m": 1, "r": 2, "w": 4}  # BPF_DEVCG_ACC_*
RWM = 7


class Rule:
    """allow or deny; type "b" or "c"; major and minor, ALL for each; access: bits of RWM. pointer: where it stands."""

    __slots__ = ("access", "allow", "major", "minor", "pointer", "type")

    def __init__(
        self, allow: bool, type: str, major: int, minor: int, access: int = RWM, pointer: str = POINTER
    ) -> None:
        self.allow = allow
        self.type = type
        self.major = major
        self.minor = minor
        self.access = access
        self.pointer = pointer

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rule) and self.key() == other.key()

    def __hash__(self) -> int:
        return hash(self.key())

    def key(self) -> tuple[bool, str, int, int, int]:
        """What it says, without where."""
        return self.allow, self.type, self.major, self.minor, self.access

    def __repr__(self) -> str:
        return f"{'allow' if self.allow else 'deny'} {text(self)}"


# Allowed behind the rules of every config, as runc does: any mknod, the default devices by their paths (one that
# linux.devices replaces is not among them), /dev/pts/*, /dev/ptmx, and /dev/net/tun, which engines count on.
_DEFAULTS = (
    ("", Rule(True, "c", ALL, ALL, 1)),
    ("", Rule(True, "b", ALL, ALL, 1)),
    ("/dev/null", Rule(True, "c", 1, 3)),
    ("/dev/random", Rule(True, "c", 1, 8)),
    ("/dev/full", Rule(True, "c", 1, 7)),
    ("/dev/tty", Rule(True, "c", 5, 0)),
    ("/dev/zero", Rule(True, "c", 1, 5)),
    ("/dev/urandom", Rule(True, "c", 1, 9)),
    ("", Rule(True, "c", 136, ALL)),
    ("", Rule(True, "c", 5, 2)),
    ("", Rule(True, "c", 10, 200)),
)


def rules(resources: "Section | None", replaced: "frozenset[str]" = frozenset()) -> tuple[bool, list[Rule]]:
    """(default, rules that follow): the list with the defaults behind it, from the last rule for everything on.

    `replaced`: paths of linux.devices. Errors name the entry.
    """
    default = False
    found: list[Rule] = []
    for entry in resources.sections("devices") if resources else ():
        allow, kinds, major, minor, access = _rule(entry)
        if kinds == "bc" and major == minor == ALL and access == RWM:
            default, found = allow, []
        else:
            found += [Rule(allow, kind, major, minor, access, entry.pointer) for kind in kinds]
    # Where all is allowed but what is denied by name, "any mknod" is no default: it would undo half of each denial
    found += [rule for path, rule in _DEFAULTS if path not in replaced and not (default and rule.access != RWM)]
    if default and all(rule.allow for rule in found):
        found = []
    return default, found


def _rule(entry: "Section") -> tuple[bool, str, int, int, int]:
    if not entry.has("allow"):
        raise entry.refuse("allow", "is required")
    kind = entry.text("type", "a") or "a"
    if kind not in {"a", "b", "c"}:
        raise entry.refuse("type", f'"{kind}" is none of a, b, c')
    access = entry.text("access", "rwm")
    if not access or access.strip("rwm"):
        raise entry.refuse("access", f'"{access}" is not made of r, w and m')
    major, minor = (entry.integer(key, ALL, _MAX32, ALL) for key in ("major", "minor"))
    return entry.flag("allow"), "bc" if kind == "a" else kind, major, minor, sum(_BITS[c] for c in set(access))


def of_config(config: "Config") -> tuple[bool, list[Rule]]:
    """The rules of a whole configuration."""
    linux = config.section("linux")
    if linux is None:
        return rules(None)
    paths = frozenset(device.text("path") for device in linux.sections("devices"))
    return rules(linux.section("resources"), paths)


def text(rule: Rule) -> str:
    """As cgroup v1 writes it: "c 1:* rw"."""
    major, minor = ("*" if number == ALL else str(number) for number in (rule.major, rule.minor))
    access = "".join(c for c in "rwm" if rule.access & _BITS[c])
    return f"{rule.type} {major}:{minor} {access}"


def final(default: bool, found: list[Rule]) -> tuple[bool, list[Rule]]:
    """The rules as exceptions from `default`, each device once: the form that cgroup v1 has.

    ConfigError for a hole in a wider rule, which that form cannot have and the kernel would silently not make.
    """
    exceptions: dict[tuple[str, int, int], int] = {}
    for rule in found:
        device = (rule.type, rule.major, rule.minor)
        if rule.allow != default:
            exceptions[device] = exceptions.get(device, 0) | rule.access
            continue
        for other, access in list(exceptions.items()):
            if not access & rule.access or not _overlap(device, other):
                continue
            if not _within(other, device):
                kind, major, minor = other
                wide = text(Rule(not default, kind, major, minor, access))
                raise ConfigError(f'cgroup v1 cannot make a hole in the wider rule "{wide}"', rule.pointer)
            exceptions[other] = access & ~rule.access
    return default, [Rule(not default, *device, access) for device, access in exceptions.items() if access]


def _overlap(one: tuple[str, int, int], two: tuple[str, int, int]) -> bool:
    return one[0] == two[0] and all(a == b or ALL in {a, b} for a, b in zip(one[1:], two[1:], strict=True))


def _within(inner: tuple[str, int, int], outer: tuple[str, int, int]) -> bool:
    return inner[0] == outer[0] and all(b in {a, ALL} for a, b in zip(inner[1:], outer[1:], strict=True))


# One instruction of eBPF: opcode, registers (source << 4 | destination), jump offset, immediate
_LOAD_WORD, _MOVE, _SHIFT_RIGHT, _AND = 0x61, 0xB4, 0x74, 0x54  # 32 bits wide, which leaves the upper half 0
_MOVE_REGISTER = 0xBC
_JUMP_EQUAL, _JUMP_NOT_EQUAL, _EXIT = 0x16, 0x56, 0x95  # BPF_JMP32: an immediate is not sign-extended


def _instruction(code: int, registers: int, offset: int, value: int) -> bytes:
    return pack("=BBhI", code, registers, offset, value & _MAX32)


def assemble(default: bool, found: list[Rule]) -> bytes:
    """The program: bpf_cgroup_dev_ctx in, 1 (allowed) or 0 (EPERM) out; 8 bytes for each instruction."""
    code = [
        _instruction(_LOAD_WORD, 0x12, 0, 0),  # r2 = access_type
        _instruction(_MOVE_REGISTER, 0x23, 0, 0),
        _instruction(_AND, 0x02, 0, 0xFFFF),  # r2 = type
        _instruction(_SHIFT_RIGHT, 0x03, 0, 16),  # r3 = access, its undecided bits
        _instruction(_LOAD_WORD, 0x14, 4, 0),  # r4 = major
        _instruction(_LOAD_WORD, 0x15, 8, 0),  # r5 = minor
    ]
    code += [_block(rule) for rule in reversed(found)]
    code += [_instruction(_MOVE, 0x00, 0, int(default)), _instruction(_EXIT, 0, 0, 0)]
    return b"".join(code)


def _block(rule: Rule) -> bytes:
    if rule.allow:
        tail = [] if rule.access == RWM else [_instruction(_AND, 0x03, 0, ~rule.access)]
        left = [] if rule.access == RWM else [(_JUMP_NOT_EQUAL, 0x03, 0)]
    else:
        tail = [_instruction(_MOVE_REGISTER, 0x31, 0, 0), _instruction(_AND, 0x01, 0, rule.access)]
        tail, left = ([], []) if rule.access == RWM else (tail, [(_JUMP_EQUAL, 0x01, 0)])
    end = [_instruction(_MOVE, 0x00, 0, int(rule.allow)), _instruction(_EXIT, 0, 0, 0)]
    tests = [(_JUMP_NOT_EQUAL, 0x02, _BLOCK if rule.type == "b" else _CHAR)]
    tests += [
        (_JUMP_NOT_EQUAL, register, number)
        for register, number in ((0x04, rule.major), (0x05, rule.minor))
        if number != ALL
    ]
    # Each test jumps behind the block: over the tests after it, the tail, and the two instructions of its end
    after = len(tail) + len(left) + len(end)
    head = [_instruction(c, r, len(tests) - 1 - i + after, v) for i, (c, r, v) in enumerate(tests)]
    return b"".join(head + tail + [_instruction(c, r, len(end), v) for c, r, v in left] + end)


def compile(config: "Config", host: "Host", program: Program, *, cgroup_fd: "Op") -> None:
    """Load the filter and attach it to the container's cgroup, whose descriptor is `cgroup_fd`.

    bpf(2) needs CAP_BPF and CAP_NET_ADMIN of the initial user namespace: a rootless container goes without, as with
    runc and crun; it can make no device nodes and opens those of the host by their modes.
    """
    if host.cgroup_mode != "v2" or host.rootless:
        return
    default, found = of_config(config)
    if default and not found:
        return
    code = assemble(default, found)
    load = Struct(LOAD, BPF_PROG_TYPE_CGROUP_DEVICE, len(code) // 8, code, LICENSE, text="BPF_PROG_TYPE_CGROUP_DEVICE")
    loaded = program.call("bpf", BPF_PROG_LOAD, load, LOAD_SIZE, origin=POINTER, to="device filter")
    attach = Struct(ATTACH, cgroup_fd, loaded, BPF_CGROUP_DEVICE, BPF_F_ALLOW_MULTI, text="BPF_CGROUP_DEVICE")
    program.call("bpf", BPF_PROG_ATTACH, attach, ATTACH_SIZE, origin=POINTER)
    program.call("close", loaded, origin=POINTER)
