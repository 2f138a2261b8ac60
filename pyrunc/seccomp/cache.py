# SPDX-License-Identifier: Apache-2.0
"""Compiled filters, kept below the state root: a known profile needs neither ctypes nor libseccomp, nor its checks.

A file holds the whole profile that it was made of, and the libseccomp that made it; it is taken only if both are the
same. Nothing is taken that another user could have written: a filter from here decides what a container may do.

    magic | u32 length of key, of library, of filter | checksum of filter | key | library | filter
"""

import posix
from _struct import Struct
from marshal import dumps

from pyrunc import VERSION
from pyrunc.config.fields import Section

DIRECTORY = ".seccomp"
"""Name of the cache below the state root; no container has it, an id does not begin with a dot."""

FILES_MAX = 64

_FORMAT = 1
"""To be raised when another filter is made of the same profile, or another profile is refused."""

_HEADER = Struct("<8sIII16s")
_MAGIC = b"pyruncSF"
_SIZE_MAX = 4 << 20
_PRIME = 2**128 - 159

_S_IFMT, _S_IFREG = 0o170000, 0o100000
_OPEN = posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_CLOEXEC | posix.O_NONBLOCK


def load(section: Section, machine: str, directory: "str | None") -> bytes:
    """The array of struct sock_filter of linux.seccomp, from the cache, else compiled and kept there.

    `directory` is made (0700) if only it is missing; None is for no cache. Trouble with the cache is no error, then
    the profile is compiled. ConfigError and HostError are those of seccomp.filter.compile.
    """
    if directory is None:
        from pyrunc.seccomp.filter import compile

        return compile(section)
    key = dumps((_FORMAT, VERSION, machine, section.pointer, section.data), 2)  # 2: later formats depend on references
    name = _sum(key).hex()
    folder = _open_directory(directory)
    try:
        bpf = _read(folder, name, key) if folder >= 0 else None
        if bpf is not None:
            return bpf
        from pyrunc.seccomp.filter import compile

        bpf = compile(section)
        if folder >= 0:
            from pyrunc.seccomp.keep import keep, library

            keep(folder, name, pack(key, library(), bpf), FILES_MAX)
        return bpf
    finally:
        if folder >= 0:
            posix.close(folder)


def pack(key: bytes, library: bytes, bpf: bytes) -> bytes:
    """The content of a cache file."""
    return _HEADER.pack(_MAGIC, len(key), len(library), len(bpf), _sum(bpf)) + key + library + bpf


def identity(path: str) -> bytes:
    """What tells one installed libseccomp from another, without loading it; b"" when there is none at `path`."""
    try:
        facts = posix.stat(path)
    except OSError:
        return b""
    return f"{facts.st_ino} {facts.st_size} {facts.st_mtime_ns} {path}".encode("utf-8", "surrogateescape")


def _open_directory(path: str) -> int:
    """A descriptor of the cache if nobody else can write there, else -1."""
    flags = _OPEN | posix.O_DIRECTORY
    try:
        try:
            fd = posix.open(path, flags)
        except FileNotFoundError:
            posix.mkdir(path, 0o700)
            fd = posix.open(path, flags)
    except OSError:
        return -1
    facts = posix.fstat(fd)
    if facts.st_uid == posix.geteuid() and not facts.st_mode & 0o077:
        return fd
    posix.close(fd)
    return -1


def _read(folder: int, name: str, key: bytes) -> "bytes | None":
    try:
        fd = posix.open(name, _OPEN, dir_fd=folder)
    except OSError:
        return None
    try:
        facts = posix.fstat(fd)
        private = facts.st_uid == posix.geteuid() and facts.st_mode & (_S_IFMT | 0o077) == _S_IFREG
        if not private or not _HEADER.size < facts.st_size <= _SIZE_MAX:
            return None
        return _unpack(posix.read(fd, facts.st_size), key)
    finally:
        posix.close(fd)


def _unpack(content: bytes, key: bytes) -> "bytes | None":
    if len(content) < _HEADER.size:
        return None
    magic, key_size, library_size, bpf_size, checksum = _HEADER.unpack_from(content)
    rest = content[_HEADER.size :]
    bpf = rest[key_size + library_size :]
    if magic != _MAGIC or not rest.startswith(key) or key_size != len(key) or len(bpf) != bpf_size or bpf_size % 8:
        return None
    library = rest[key_size : key_size + library_size]
    path = library.split(b" ", 3)[-1].decode("utf-8", "surrogateescape")
    if not bpf or not library or checksum != _sum(bpf) or library != identity(path):
        return None
    return bpf


def _sum(data: bytes) -> bytes:
    """A number for a file name, and against a file half written: no secret, so no hash function has to be imported.

    The key is compared in full; two profiles of one name would only take turns.
    """
    return (int.from_bytes(data, "little") % _PRIME).to_bytes(16, "little")
