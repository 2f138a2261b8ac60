# SPDX-License-Identifier: Apache-2.0
"""process.apparmorProfile and process.selinuxLabel: config.md#linux-process, apparmor(7), proc_pid_attr(5).

What is written to attr/…/exec holds from the next execve(2) on. The files are those of a procfs that nobody else can
reach: through /proc the write could land in another file, and the process would be confined by nothing
(CVE-2019-16884, CVE-2019-19921).
"""

from posix import O_WRONLY

from pyrunc.config.fields import Section
from pyrunc.linux.host import Host
from pyrunc.linux.uapi import RESOLVE_BENEATH, RESOLVE_NO_XDEV
from pyrunc.plan.calls import openat2
from pyrunc.plan.program import Op, Program

_RESOLVE = RESOLVE_BENEATH | RESOLVE_NO_XDEV
_UNCONFINED = "unconfined"
NO_SELINUX = "selinux label is specified in config, but selinux is disabled or not supported"
NO_APPARMOR = "config provided but apparmor not supported"


def wanted(process: "Section | None", host: Host) -> str:
    """The pointer of the first field that needs a procfs, "" for none; ConfigError where the host lacks the module."""
    if process is None:
        return ""
    label, profile = process.text("selinuxLabel", ""), process.text("apparmorProfile", "")
    if label and not host.has_lsm("selinux"):
        raise process.refuse("selinuxLabel", NO_SELINUX)
    if profile and profile != _UNCONFINED and not host.has_lsm("apparmor"):
        raise process.refuse("apparmorProfile", NO_APPARMOR)
    for key, value in (("selinuxLabel", label), ("apparmorProfile", profile)):
        if not value.isprintable():
            raise process.refuse(key, "must not have control characters")
    if label:
        return process.at("selinuxLabel")
    return process.at("apparmorProfile") if profile and host.has_lsm("apparmor") else ""


def mount_label(linux: Section, host: Host) -> str:
    """linux.mountLabel, "" without one."""
    label = linux.text("mountLabel", "")
    if label and not host.has_lsm("selinux"):
        raise linux.refuse("mountLabel", NO_SELINUX)
    if not label.isprintable() or '"' in label:
        raise linux.refuse("mountLabel", "must not have control characters or quotation marks")
    return label


def keyring(process: Section, program: Program, proc: Op) -> None:
    """Keys that are made from here on, the session keyring first, have the label of the process."""
    if label := process.text("selinuxLabel", ""):
        _write(program, proc, "keycreate", label, process.at("selinuxLabel"))


def execute(process: Section, host: Host, program: Program, proc: Op) -> None:
    """The confinement that begins with execve(2)."""
    profile = process.text("apparmorProfile", "")
    if profile and host.has_lsm("apparmor"):
        # Linux 5.8: /proc/PID/attr/exec is of the one module that came first
        _write(program, proc, "apparmor/exec", f"exec {profile}", process.at("apparmorProfile"))
    if label := process.text("selinuxLabel", ""):
        _write(program, proc, "exec", label, process.at("selinuxLabel"))


def _write(program: Program, proc: Op, name: str, text: str, origin: str) -> None:
    fd = openat2(program, proc, f"self/attr/{name}", O_WRONLY, _RESOLVE, origin=origin, to="attr")
    raw = text.encode()
    program.call("write", fd, raw, len(raw), origin=origin)
    program.call("close", fd, origin=origin)
