# SPDX-License-Identifier: Apache-2.0
"""Which sysctls belong to which namespace, and their names as files: sysctl(8), namespaces(7), ipc_namespaces(7)."""

SYSCTLS = {
    "kernel/domainname": "uts",
    "kernel/msgmax": "ipc",
    "kernel/msgmnb": "ipc",
    "kernel/msgmni": "ipc",
    "kernel/sem": "ipc",
    "kernel/shm_rmid_forced": "ipc",
    "kernel/shmall": "ipc",
    "kernel/shmmax": "ipc",
    "kernel/shmmni": "ipc",
}
PREFIXES = (("net/", "network"), ("fs/mqueue/", "ipc"), ("user/", "user"))
"""Folders of which every file belongs to one namespace; the rest of /proc/sys is the host's."""

_SWAP = {ord("."): "/", ord("/"): "."}
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/")


def path(name: str) -> str | None:
    """The file of a sysctl below /proc/sys, or None for what cannot be a name.

    As sysctl(8) reads it, the first separator is what separates: net.ipv4.conf.eno2/100.rp_filter and
    net/ipv4/conf/eno2.100/rp_filter are one. No component is empty or `..`: it is opened beneath /proc/sys.
    """
    if not _LETTERS.issuperset(name):
        return None
    dot, slash = name.find("."), name.find("/")
    if dot >= 0 and (slash < 0 or dot < slash):
        name = name.translate(_SWAP)
    if any(component in ("", ".", "..") for component in name.split("/")):
        return None
    return name


def namespace(file: str) -> str | None:
    """The namespace (a word of config.json) that a file below /proc/sys belongs to; None when it is the host's."""
    owner = SYSCTLS.get(file)
    if owner is None:
        for prefix, word in PREFIXES:
            if file.startswith(prefix):
                return word
    return owner
