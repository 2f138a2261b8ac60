# SPDX-License-Identifier: Apache-2.0
"""Why a program cannot be executed: missing, no permission, a wrong machine, or a missing interpreter or loader.

The words are those that engines look for: lower case, and only where the user's program is at fault.
"""

import errno
import posix

from pyrunc.linux.errnos import text as errno_text
from pyrunc.linux.uapi import S_IFDIR, S_IFMT
from pyrunc.process.look import View, credentials

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.execve import Command

_ELF_MACHINES = {
    3: "i386",
    8: "mips",
    20: "ppc",
    21: "ppc64",
    22: "s390",
    40: "arm",
    62: "x86_64",
    183: "aarch64",
    243: "riscv",
    258: "loongarch",
}
_ELF_TYPES = {1: "an object file", 4: "a core file"}
_PT_INTERP = 3
_DEPTH_MAX = 4
_STRING_MAX = 131072
"""MAX_ARG_STRLEN of execve(2): 32 pages."""
_ABSENT = (errno.ENOENT, errno.ENOTDIR)


def reason(command: "Command", number: int, pid: int, rootfs: str) -> str:
    """One line for the user; `number` is the errno of execve(2) or of the look-up before it, `pid` waits, `rootfs` is
    the host's path of its root.
    """
    program = command.args[0]
    shown = f'exec: "{program}"'
    view = View(pid, where="in the container", instead=rootfs)
    try:
        path = _found(command, view)
        if "/" not in program and path is None and number in _ABSENT:
            searched = ":".join(candidate[: -len(program) - 1] for candidate in command.candidates)
            return f'{shown}: executable file not found in $PATH ("{searched}")'
        why = ""
        if number == errno.E2BIG:
            why = _too_long(command)
        elif pid and number == errno.EACCES and view.kind(path or program) == "directory":
            why = "it is a directory"
        elif pid:
            why = fault(path or program, number, view)
            if why.startswith(f'"{program}" is missing'):
                why = ""
    finally:
        view.close()
    return f"{shown}: {errno_text(number)}" + (f": {why}" if why else "")


def _found(command: "Command", view: View) -> "str | None":
    """The candidate that the kernel has come to: the first that is there, symlinks to nothing included."""
    for candidate in command.candidates:
        path = _absolute(candidate, view.pid)
        if view.facts(path, follow=False) not in _ABSENT:
            return path
    return None


def _absolute(path: str, pid: int) -> str:
    if path[:1] == "/":
        return path
    try:
        return f"{posix.readlink(f'/proc/{pid}/cwd')}/{path}"
    except OSError:
        return f"/{path}"


def fault(path: str, number: int, view: View) -> str:
    """Why execve(2) of a path gave an errno; "" where nothing can be said."""
    if number == errno.ETXTBSY:
        return "a process has the file open for writing"
    if number in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
        return view.blame(_absolute(path, view.pid)) or _missing(path, view)
    if number == errno.EACCES:
        return _refused(path, view)
    if number == errno.ENOEXEC:
        return _format(path, view)
    if number == errno.ELIBBAD:
        return f'its library loader "{_loader(view.head(path) or b"")}" cannot be used'
    return ""


def _too_long(command: "Command") -> str:
    strings = [*command.args, *command.environment]
    longest = max(len(text.encode()) + 1 for text in strings)
    if longest > _STRING_MAX:
        return f"one string of args and env has {longest} bytes, the kernel takes {_STRING_MAX}"
    return f"args and env have {sum(len(text.encode()) + 9 for text in strings)} bytes, more than RLIMIT_STACK allows"


def _missing(path: str, view: View, depth: int = 0) -> str:
    """The file is there, so that what it needs is not: an interpreter, or what that one needs."""
    head = view.head(path) or b""
    if head[:2] == b"#!":
        interpreter = _interpreter(head)
        place = _absolute(interpreter, view.pid)
        if head[2:].split(b"\n")[0].endswith(b"\r") and not view.kind(f"{place}\r"):
            return f'the "#!" line ends with a carriage return, so that the interpreter is taken for "{interpreter}\\r"'
        absent = view.blame(place)
        if absent.startswith(f'"{interpreter}" is missing') or depth >= _DEPTH_MAX:
            return f'its interpreter "{interpreter}" is missing'
        if absent:
            return f'its interpreter "{interpreter}" is missing: {absent}'
        return f'its interpreter "{interpreter}" cannot be executed: {_missing(place, view, depth + 1)}'
    loader = _loader(head)
    if loader:
        family = " of glibc" if "/ld-linux" in loader else " of musl" if "/ld-musl" in loader else ""
        return f'its library loader "{loader}"{family} is missing'
    return "the file is there, but something that it needs is missing"


def _refused(path: str, view: View) -> str:
    closed = view.blame(path, denied=True)
    if closed:
        return closed
    facts = view.facts(path)
    if isinstance(facts, int):
        return "it has no execute permission, or its filesystem is mounted noexec"
    if facts.st_mode & S_IFMT == S_IFDIR:
        return "no file, but a directory"
    if view.noexec(path):
        return "its filesystem is mounted noexec"
    if facts.st_mode & 0o111 == 0:
        return f"it has no execute permission (mode {facts.st_mode & 0o7777:04o})"
    head = view.head(path) or b""
    if head[:2] == b"#!" and _interpreter(head) and view.passes(facts):
        place = _absolute(_interpreter(head), view.pid)
        return f'its interpreter "{_interpreter(head)}": {_refused(place, view)}' if place != path else ""
    return (
        f"mode {facts.st_mode & 0o7777:04o}, owner {facts.st_uid}:{facts.st_gid}: "
        f"uid {credentials(view.pid)[0]} may not execute it"
    )


def _format(path: str, view: View, depth: int = 0) -> str:
    head = view.head(path)
    if head is None:
        return ""
    if head[:4] == b"\x7fELF" and len(head) >= 20:
        return _elf(head)
    if head[:2] == b"#!":
        interpreter = _interpreter(head)
        if not interpreter:
            return 'its "#!" line names no interpreter'
        if b"\n" not in head[:256] and not head[2:256].strip().count(b" "):
            return 'its "#!" line is longer than 256 bytes'
        if depth >= _DEPTH_MAX:
            return "its interpreters are scripts that need each other"
        return f'its interpreter "{interpreter}": {_format(_absolute(interpreter, view.pid), view, depth + 1)}'
    if not head:
        return "the file is empty"
    if head[:3] == b"\xef\xbb\xbf" and head[3:5] == b"#!":
        return 'a byte order mark stands before "#!"'
    return 'it is neither an ELF file nor a script that begins with "#!"'


def _elf(head: bytes) -> str:
    order = "<" if head[5] == 1 else ">"
    machine = int.from_bytes(head[18:20], "little" if order == "<" else "big")
    kind = int.from_bytes(head[16:18], "little" if order == "<" else "big")
    own = posix.uname().machine
    name = _ELF_MACHINES.get(machine, f"machine {machine}")
    if name != own:
        return f"it is for {name}, this machine is {own}"
    if kind in _ELF_TYPES:
        return f"it is {_ELF_TYPES[kind]}, not a program"
    return "the ELF file is damaged"


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
