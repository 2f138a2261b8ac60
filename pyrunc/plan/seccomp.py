# SPDX-License-Identifier: Apache-2.0
"""The system call filter: config-linux.md#seccomp, seccomp(2). Loaded last: it need allow only what follows."""

from pyrunc.config.fields import Config, Section
from pyrunc.errors import ConfigError
from pyrunc.linux.host import Host
from pyrunc.linux.seccomp_rows import FLAGS, SECCOMP_SET_MODE_FILTER
from pyrunc.plan.program import Program, Struct

_SPEC_ALLOW = FLAGS["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]

# TSYNC: the helper has one thread, and seccomp(2) reports its failure as a positive result, which is none here.
# WAIT_KILLABLE_RECV: about a listener; the kernel refuses it without one (EINVAL).
_WITHOUT_EFFECT = ("SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV")


def compile(config: Config, host: Host, program: Program, bpf: bytes) -> None:  # noqa: ARG001 - concerns are called alike
    """Load `bpf`, the array of struct sock_filter that seccomp.cache.load made of linux.seccomp.

    It sets no_new_privs for nobody: without CAP_SYS_ADMIN the process must have it (the credentials see to that).
    """
    linux = config.section("linux")
    section = linux.section("seccomp") if linux is not None else None
    if section is None:
        return
    count = len(bpf) // 8
    fprog = Struct("HHIQ", count, 0, 0, bpf, text=f"filter of {count} instructions")
    program.call("seccomp", SECCOMP_SET_MODE_FILTER, flags(section), fprog, origin="/linux/seccomp")


def flags(section: Section) -> int:
    """The flags of seccomp(2); without the field it is SPEC_ALLOW, the default of runc and crun."""
    if not section.has("flags"):
        return _SPEC_ALLOW
    bits = 0
    for index, name in enumerate(section.texts("flags")):
        if name not in FLAGS:
            raise ConfigError(f'unknown name "{name}"', f"{section.at('flags')}/{index}")
        if name not in _WITHOUT_EFFECT:
            bits |= FLAGS[name]
    return bits
