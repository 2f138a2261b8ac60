# SPDX-License-Identifier: Apache-2.0
"""The system calls that a program may name: numbers by machine, and the kinds of their parameters.

A row is name: (x86_64, aarch64, parameters). A parameter's kind tells the listing how to write it: d decimal, o octal,
x hexadecimal, fd, path, buf, or the name of a table of flags in linux/symbols.py. The numbers from 424 on are one for
all machines.
"""

MACHINES = ("x86_64", "aarch64")

SYSCALLS: dict[str, tuple[int, int, str]] = {
    "read": (0, 63, "fd buf d"),
    "write": (1, 64, "fd buf d"),
    "fstat": (5, 80, "fd buf"),
    "close": (3, 57, "fd"),
    "rt_sigaction": (13, 134, "d buf buf d"),
    "ioctl": (16, 29, "fd IOCTL buf"),
    "dup3": (292, 24, "fd d O"),
    "socket": (41, 198, "AF SOCK d"),
    "sendmsg": (46, 211, "fd buf x"),
    "clock_gettime": (228, 113, "d buf"),
    "umask": (95, 166, "o"),
    "fchdir": (81, 50, "fd"),
    "chdir": (80, 49, "path"),
    "chroot": (161, 51, "path"),
    "getcwd": (79, 17, "buf d"),
    "setsid": (112, 157, ""),
    "setgroups": (116, 159, "d buf"),
    "setresuid": (117, 147, "d d d"),
    "setresgid": (119, 149, "d d d"),
    "capset": (126, 91, "buf buf"),
    "prctl": (157, 167, "PR d d d d"),
    "pivot_root": (155, 41, "path path"),
    "mount": (165, 40, "path path path MS path"),
    "umount2": (166, 39, "path MNT"),
    "sethostname": (170, 161, "buf d"),
    "setdomainname": (171, 162, "buf d"),
    "personality": (135, 92, "PERSONALITY"),
    "sched_setaffinity": (203, 122, "d d buf"),
    "sched_setattr": (314, 274, "d buf x"),
    "ioprio_set": (251, 30, "d d IOPRIO"),
    "set_mempolicy": (238, 237, "MPOL buf d"),
    "keyctl": (250, 219, "KEYCTL d x d d"),
    "symlinkat": (266, 36, "path fd path"),
    "readlinkat": (267, 78, "fd path buf d"),
    "mknodat": (259, 33, "fd path MODE DEV"),
    "setxattr": (188, 5, "path path buf d x"),
    "mkdirat": (258, 34, "fd path o"),
    "unlinkat": (263, 35, "fd path x"),
    "fchownat": (260, 54, "fd path d d AT"),
    "fchown": (93, 55, "fd d d"),
    "fchmod": (91, 52, "fd o"),
    "unshare": (272, 97, "CLONE"),
    "setns": (308, 268, "fd CLONE"),
    "openat": (257, 56, "fd path O o"),
    "bpf": (321, 280, "BPF buf d"),
    "seccomp": (317, 277, "SECCOMP SECCOMP_FLAG buf"),
    "execveat": (322, 281, "fd path buf buf AT"),
    "prlimit64": (302, 261, "d RLIMIT buf buf"),
    "pidfd_open": (434, 434, "d x"),
    "pidfd_getfd": (438, 438, "fd d x"),
    "open_tree": (428, 428, "fd path OPEN_TREE"),
    "move_mount": (429, 429, "fd path fd path MOVE_MOUNT"),
    "fsopen": (430, 430, "path FSOPEN"),
    "fsconfig": (431, 431, "fd FSCONFIG path path d"),
    "fsmount": (432, 432, "fd FSMOUNT MOUNT_ATTR"),
    "fspick": (433, 433, "fd path FSPICK"),
    "close_range": (436, 436, "d d CLOSE_RANGE"),
    "openat2": (437, 437, "fd path buf d"),
    "faccessat2": (439, 439, "fd path o AT"),
    "mount_setattr": (442, 442, "fd path AT buf d"),
}


def number(name: str, machine: str) -> int:
    """The number of a system call on a machine of MACHINES."""
    row = SYSCALLS[name]
    return row[0] if machine == MACHINES[0] else row[1]
