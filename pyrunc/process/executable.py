# SPDX-License-Identifier: Apache-2.0
"""Why a program cannot be executed: missing, no permission, a wrong machine, or a missing interpreter or loader.

Looks into the container through the root of the process that failed and still waits (/proc/PID/root), by openat2 within
it. The words are those that engines look for: lower case, and only where the user's program is at fault.
"""

import errno
import posix

from pyrunc.linux.errnos import text as errno_text
from pyrunc.linux.uapi import O_PATH, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, S_IFDIR, S_IFMT, S_IFREG

_SYS_OPENAT2 = 437
_HEAD = 4096
_ELF_MACHINES = {
    3: "i386",
    40: "arm",
    62: "x86_64",
    183: "aarch64",
    243: "riscv",
    22: "s390",
    21: "ppc64",
    258: "loongarch",
}
_PT_INTERP = 3


def reason(program: str, number: int, pid: int, candidates: list[str]) -> str:
    """One line for the user; `number` is the errno of execve(2) or of the look-up before it."""
    shown = f'exec: "{program}"'
    head = None
    for candidate in candidates if pid else ():
        head = _read_head(candidate, pid)
        if head != errno.ENOENT:
            program = candidate
            break
    if "/" not in shown and not isinstance(head, bytes) and number in (errno.ENOENT, errno.ENOTDIR):
        return f"{shown}: executable file not found in $PATH"
    if number == errno.ENOENT and isinstance(head, bytes):
        return f"{shown}: {errno_text(number)}: {_missing(head)}"
    if number == errno.ENOEXEC and isinstance(head, bytes):
        return f"{shown}: exec format error: {_format(head)}"
    if number == errno.EACCES and isinstance(head, bytes) and head[:2] == b"#!":
        return f"{shown}: permission denied: the script or its interpreter {_interpreter(head)} may not be executed"
    if number == errno.EACCES and head == errno.EISDIR:
        return f"{shown}: permission denied: it is a directory"
    if number == errno.EACCES:
        return f"{shown}: permission denied: it has no execute permission, or its filesystem is mounted noexec"
    if number == errno.ENOENT and head == errno.ELOOP:
        return f"{shown}: no such file or directory: it is a symlink to nothing"
    return f"{shown}: {errno_text(number)}"


def _missing(head: bytes) -> str:
    """The file is there, so that what it needs is not."""
    if head[:2] == b"#!":
        line = head[2:].split(b"\n")[0]
        interpreter = _interpreter(head)
        if line.endswith(b"\r"):
            return f'the "#!" line ends with a carriage return, so that the interpreter is taken for "{interpreter}\\r"'
        return f'its interpreter "{interpreter}" is missing' if interpreter else 'its "#!" line names no interpreter'
    loader = _loader(head)
    if loader:
        return f'its library loader "{loader}" is missing'
    return "the file is there, but something that it needs is missing"


def _format(head: bytes) -> str:
    if head[:4] == b"\x7fELF" and len(head) >= 20:
        machine = int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")
        own = posix.uname().machine
        name = _ELF_MACHINES.get(machine, f"machine {machine}")
        return f"it is for {name}, this machine is {own}" if name != own else "the ELF file is damaged"
    if head[:2] == b"#!":
        return 'its "#!" line is not usable'
    if not head:
        return "the file is empty"
    return 'it is neither an ELF file nor a script that begins with "#!"'


def _interpreter(head: bytes) -> str:
    line = head[2:].split(b"\n")[0].strip()
    words = line.split(None, 1)
    return words[0].decode("utf-8", "backslashreplace") if words else ""


def _loader(head: bytes) -> str:
    """PT_INTERP of a 64-bit or 32-bit ELF file, when it lies in the first bytes: elf(5)."""
    if head[:4] != b"\x7fELF" or len(head) < 64:
        return ""
    order = "little" if head[5] == 1 else "big"

    def number(offset: int, size: int) -> int:
        return int.from_bytes(head[offset : offset + size], order)  # type: ignore[arg-type]

    wide = head[4] == 2
    table, size, count = (
        (number(32, 8), number(54, 2), number(56, 2)) if wide else (number(28, 4), number(42, 2), number(44, 2))
    )
    for index in range(min(count, 64)):
        entry = table + index * size
        if number(entry, 4) == _PT_INTERP:
            start, length = (
                (number(entry + 8, 8), number(entry + 32, 8)) if wide else (number(entry + 4, 4), number(entry + 16, 4))
            )
            return head[start : start + length].split(b"\0")[0].decode("utf-8", "backslashreplace")
    return ""


def _read_head(program: str, pid: int) -> "bytes | int | None":
    """The first bytes of the file, or an errno: EISDIR for a directory, ELOOP for a symlink to nothing."""
    try:
        root = posix.open(f"/proc/{pid}/root", O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    except OSError:
        return None
    try:
        start = program if program[:1] == "/" else _cwd(pid) + "/" + program
        found = _openat2(root, start, O_PATH)
        if found < 0:
            link = _openat2(root, start, O_PATH | posix.O_NOFOLLOW)
            if link >= 0:
                posix.close(link)
                return errno.ELOOP
            return -found
    finally:
        posix.close(root)
    try:
        return _read_regular(found)
    finally:
        posix.close(found)


def _read_regular(found: int) -> "bytes | int | None":
    """The first bytes of an O_PATH descriptor. To open a device has effects: a watchdog's starts."""
    kind = posix.fstat(found).st_mode & S_IFMT
    if kind != S_IFREG:
        return errno.EISDIR if kind == S_IFDIR else None
    try:
        fd = posix.open(f"/proc/self/fd/{found}", posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC)
    except OSError as error:
        return error.errno
    try:
        return posix.read(fd, _HEAD)
    except OSError as error:
        return error.errno
    finally:
        posix.close(fd)


def _cwd(pid: int) -> str:
    try:
        return posix.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


def _openat2(root: int, path: str, flags: int) -> int:
    """openat2(2) within `root`; a descriptor, or -errno."""
    import ctypes
    from _struct import pack

    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    libc.syscall.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_long]
    how = pack("3Q", flags | posix.O_CLOEXEC, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
    fd = libc.syscall(_SYS_OPENAT2, root, path.encode("utf-8", "surrogateescape"), how, len(how))
    return int(fd) if fd >= 0 else -ctypes.get_errno()
