# SPDX-License-Identifier: Apache-2.0
"""The system call filter: config-linux.md#seccomp, seccomp(2).

It is loaded last, and need allow only what follows. One with a listener (SCMP_ACT_NOTIFY) is loaded before the process
waits for `start`, as the runtime must be there to hand the listener over, and as runc does it: such a filter must let
the helper write, read, close and execve, or notify of them.
"""

from pyrunc.config.fields import Config, Section
from pyrunc.errors import ConfigError
from pyrunc.linux.host import Host
from pyrunc.linux.seccomp_rows import FLAGS, NOTIFY, SECCOMP_FILTER_FLAG_NEW_LISTENER, SECCOMP_SET_MODE_FILTER
from pyrunc.plan import ops
from pyrunc.plan.calls import hand_over as send
from pyrunc.plan.program import Op, Program, Struct

_SPEC_ALLOW = FLAGS["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]

# The helper has one thread, and seccomp(2) reports TSYNC's failure as a positive result, which is none here.
_WITHOUT_EFFECT = ("SECCOMP_FILTER_FLAG_TSYNC",)
# About a listener; the kernel refuses it without one (EINVAL).
_OF_LISTENER = ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",)


def notifies(config: Config) -> bool:
    """Whether a rule has SCMP_ACT_NOTIFY, so that the filter has a listener."""
    section = _section(config)
    return section is not None and any(rule.data.get("action") == NOTIFY for rule in section.sections("syscalls"))


def compile(config: Config, program: Program, bpf: bytes, *, listener: bool) -> "Op | None":
    """Load `bpf`, the array of struct sock_filter that seccomp.cache.load made of linux.seccomp; its listener, if any.

    It sets no_new_privs for nobody: without CAP_SYS_ADMIN the process must have it (the credentials see to that).
    """
    section = _section(config)
    if section is None:
        return None
    count = len(bpf) // 8
    fprog = Struct("HHIQ", count, 0, 0, bpf, text=f"filter of {count} instructions")
    bits = flags(section, listener=listener)
    to = "listener" if listener else None
    op = program.call("seccomp", SECCOMP_SET_MODE_FILTER, bits, fprog, origin="/linux/seccomp", to=to)
    return op if listener else None


def hand_over(config: Config, host: Host, program: Program, listener: Op) -> None:
    """The runtime takes the listener to its agent; an ordinary user, who may not reach for it, has it sent."""
    if host.uid != 0:
        _check_sendmsg(config)
        send(program, listener, origin="/linux/seccomp/listenerPath")
    program.sync(ops.LISTENER, "listener", listener, origin="/linux/seccomp/listenerPath")
    program.call("close", listener)


def _check_sendmsg(config: Config) -> None:
    """Nobody could answer for the call by which the listener comes to the one who answers."""
    section = _section(config)
    for rule in section.sections("syscalls") if section is not None else ():
        if rule.data.get("action") == NOTIFY and "sendmsg" in rule.texts("names"):
            raise rule.refuse("names", f"{NOTIFY} for sendmsg needs root, as it is needed to hand over the listener")


def flags(section: Section, *, listener: bool) -> int:
    """The flags of seccomp(2); without the field it is SPEC_ALLOW, the default of runc and crun."""
    bits = SECCOMP_FILTER_FLAG_NEW_LISTENER if listener else 0
    if not section.has("flags"):
        return bits | _SPEC_ALLOW
    for index, name in enumerate(section.texts("flags")):
        if name not in FLAGS:
            raise ConfigError(f'unknown name "{name}"', f"{section.at('flags')}/{index}")
        if name not in _WITHOUT_EFFECT and (listener or name not in _OF_LISTENER):
            bits |= FLAGS[name]
    return bits


def _section(config: Config) -> "Section | None":
    linux = config.section("linux")
    return linux.section("seccomp") if linux is not None else None
