# SPDX-License-Identifier: Apache-2.0
"""The border at which JSON becomes Python: config.json of a bundle, --process files, records of the state.

What passes is an object whose strings can be given to the kernel (no NUL, no lone surrogate), without duplicate names,
nested at most 64 deep. The json module costs 7 ms of import, its scanner written in C none.
"""

import posix
from _json import make_scanner
from errno import ENOENT, ENOTDIR

from pyrunc.config.fields import Config
from pyrunc.errors import ConfigError
from pyrunc.linux import errnos
from pyrunc.linux.uapi import S_IFMT, S_IFREG

SIZE_MAX = 16 << 20
DEPTH_MAX = 64
_DIGITS_MAX = 20
"""-2**63 and 2**64 - 1, the ends of what the specification's integers can be, have 20 characters."""

_BLANKS = " \t\n\r"
_ALIKE = bytes.maketrans(b"{}", b"[]")
_NO_STRUCTURE = bytes(byte for byte in range(256) if byte not in b'[]{}"')


def load(bundle: str, config_file: str | None = None) -> Config:
    """The configuration of a bundle, from `config_file` in place of its config.json when given.

    The bundle's path is made absolute by the kernel, links resolved, as runc's (chdir(2), getcwd(2)).
    ConfigError when there is none, when it is no regular file of at most 16 MiB, or no JSON.
    """
    directory = _open_bundle(bundle)
    try:
        path = posix.readlink(f"/proc/self/fd/{directory}")
        data = read("config.json", directory) if config_file is None else read(config_file)
    finally:
        posix.close(directory)
    config = Config(parse(data, config_file or "config.json"), path)
    if b"run.oci.seccomp" in data or b"idmap=" in data:
        from pyrunc.config.crun_words import spell_out

        spell_out(config)
    return config


def _open_bundle(bundle: str) -> int:
    try:
        return posix.open(bundle, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    except OSError as error:
        # Engines take the words of errno for the fate of the user's command (contracts.md 1.4)
        cause = {ENOENT: "not found", ENOTDIR: "not a bundle: no folder"}.get(error.errno or 0)
        raise ConfigError(f"bundle {bundle} {cause or 'cannot be opened: ' + errnos.reason(error.errno)}") from error
    except ValueError as error:
        raise ConfigError("bundle: a NUL character cannot be in a path") from error


def read(path: str, directory: int | None = None) -> bytes:
    """The bytes of a regular file of at most 16 MiB, beneath the descriptor `directory` when given.

    A FIFO or a terminal in its place neither blocks nor becomes a controlling terminal.
    """
    flags = posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK | posix.O_NOCTTY
    try:
        fd = posix.open(path, flags, dir_fd=directory)
    except OSError as error:
        if error.errno == ENOENT:
            raise ConfigError(f"JSON specification file {path} not found") from error
        raise ConfigError(f"JSON specification file {path} cannot be opened: {errnos.reason(error.errno)}") from error
    except ValueError as error:
        raise ConfigError("JSON specification file: a NUL character cannot be in a path") from error
    try:
        return _contents(fd, path)
    except OSError as error:
        raise ConfigError(f"JSON specification file {path} cannot be read: {errnos.reason(error.errno)}") from error
    finally:
        posix.close(fd)


def _contents(fd: int, path: str) -> bytes:
    facts = posix.fstat(fd)
    if facts.st_mode & S_IFMT != S_IFREG:
        raise ConfigError(f"JSON specification file {path} is not a regular file")
    return read_all(fd, f"JSON specification file {path}", facts.st_size)


def read_all(fd: int, name: str, size: int = 1 << 16) -> bytes:
    """All that a descriptor gives until its end, at most 16 MiB; `size`: what is expected. OSError as it comes."""
    data = posix.read(fd, min(size, SIZE_MAX) + 1)
    while len(data) <= SIZE_MAX and (more := posix.read(fd, max(len(data), 1 << 12))):
        data += more
    if len(data) > SIZE_MAX:
        raise ConfigError(f"{name} is larger than {SIZE_MAX >> 20} MiB")
    return data


def parse(data: bytes, name: str = "config.json") -> dict[str, object]:
    """The object that JSON text (RFC 8259, UTF-8) is; ConfigError for anything else, `name` in its text.

    Stricter than the RFC, as a name given twice or a NUL means one thing to us and another to the next reader: refused
    are duplicate names, numbers that no field can hold, strings with NUL or lone surrogates (SPEC-003, SPEC-004).
    """
    value = _value(data, name, "")
    if type(value) is not dict:
        raise ConfigError(f"{name}: must be a JSON object")
    return value


def parse_rows(data: bytes, name: str, pointer: str) -> list[object]:
    """The same of an array, which would stand at `pointer` in config.json."""
    value = _value(data, name, pointer)
    if type(value) is not list:
        raise ConfigError(f"{name}: must be a JSON array")
    return value


def _value(data: bytes, name: str, base: str) -> object:
    if deeper_than(data, DEPTH_MAX):
        raise ConfigError(f"{name}: nested more than {DEPTH_MAX} deep")
    try:
        text = str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: byte {error.start} is not UTF-8") from error
    scanner = _Scanner(name)
    value = scanner.scan(text)
    if scanner.doubles:
        # An object that a later duplicate dropped was noted before the one that holds both: the last is in the result
        pointer = _pointer_of(value, scanner.doubles[-1][0], base)
        raise ConfigError("is given twice", _member(pointer or base, scanner.doubles[-1][1]))
    if b"\\u0000" in data or b"\\ud" in data or b"\\uD" in data:
        _refuse_characters(value, base)
    return value


class _Scanner:
    """What make_scanner asks for, and the objects in which a name stands twice."""

    __slots__ = ("doubles", "name")

    strict = True
    """Control characters within strings are refused."""
    object_hook = None

    def __init__(self, name: str) -> None:
        self.name = name
        self.doubles: list[tuple[dict[str, object], str]] = []

    def scan(self, text: str) -> object:
        """The value that the whole text is."""
        start = len(text) - len(text.lstrip(_BLANKS))
        try:
            value, end = self._scan(text, start)
        except StopIteration as stop:
            raise self._malformed(text, stop.value, "expecting a value") from None
        except RecursionError as error:
            raise ConfigError(f"{self.name}: nested too deep") from error
        except MemoryError as error:
            raise ConfigError(f"{self.name}: too large for the memory") from error
        except ValueError as error:
            # json.JSONDecodeError
            cause = str(getattr(error, "msg", error))
            raise self._malformed(text, getattr(error, "pos", 0), cause[:1].lower() + cause[1:]) from error
        if text[end:].strip(_BLANKS):
            end = len(text) - len(text[end:].lstrip(_BLANKS))
            raise self._malformed(text, end, "text after the end")
        return value

    def _scan(self, text: str, start: int) -> tuple[object, int]:
        scan = make_scanner(self)  # type: ignore[arg-type]
        try:
            return scan(text, start)
        except SystemError:
            # Up to Python 3.12 it finds JSONDecodeError only where the module is loaded, and else raises nothing.
            __import__("json.decoder")
            return scan(text, start)

    def _malformed(self, text: str, position: int, cause: str) -> ConfigError:
        line = text.count("\n", 0, position) + 1
        column = position - text.rfind("\n", 0, position)
        return ConfigError(f"{self.name}: invalid JSON at line {line}, column {column}: {cause}")

    def object_pairs_hook(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        members = dict(pairs)
        if len(members) != len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    self.doubles.append((members, key))
                    break
                seen.add(key)
        return members

    def parse_int(self, digits: str) -> int:
        if len(digits) > _DIGITS_MAX:
            raise ConfigError(f"{self.name}: a number of {len(digits)} characters is out of any range")
        return int(digits)

    def parse_float(self, digits: str) -> float:
        value = float(digits)
        if value - value != 0.0:
            raise ConfigError(f"{self.name}: the number {digits[:32]} is out of any range")
        return value

    def parse_constant(self, word: str) -> float:
        raise ConfigError(f"{self.name}: invalid JSON: {word} is no number of JSON")


def deeper_than(data: bytes, limit: int) -> bool:
    """Whether JSON text nests arrays and objects more than `limit` deep; right for any text up to its first error.

    The scanner recurses on the C stack, whose size is the caller's (ulimit -s) and whose guard is the Python version's.
    """
    if data.count(b"[") + data.count(b"{") <= limit:
        return False
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Two quotes side by side can go: what is within and what is without a string stays so
    structure = data.translate(_ALIKE, _NO_STRUCTURE).replace(b'""', b"")
    structure = b"".join(structure.split(b'"')[::2])
    for _ in range(limit):
        shorter = structure.replace(b"[]", b"")
        if len(shorter) == len(structure):
            break
        structure = shorter
    return b"[]" in structure or structure.count(b"[") > limit


def _pointer_of(value: object, wanted: object, pointer: str) -> str | None:
    """The JSON pointer of the object `wanted` (by identity) within `value`."""
    if value is wanted:
        return pointer
    for key, member in _members(value):
        found = _pointer_of(member, wanted, _member(pointer, key))
        if found is not None:
            return found
    return None


def _refuse_characters(value: object, pointer: str) -> None:
    """Refuse NUL, which ends a string of the kernel early, and lone surrogates, which have no UTF-8."""
    if type(value) is str:
        if "\0" in value:
            raise ConfigError("a NUL character cannot be in a string", pointer)
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ConfigError(f"half of a surrogate pair (character {error.start}) is no text", pointer) from error
    for key, member in _members(value):
        if type(key) is str:
            _refuse_characters(key, pointer)
        _refuse_characters(member, _member(pointer, key))


def _members(value: object) -> "list[tuple[str | int, object]]":
    if type(value) is dict:
        return list(value.items())
    return list(enumerate(value)) if type(value) is list else []


def _member(pointer: str, key: "str | int") -> str:
    return f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"
