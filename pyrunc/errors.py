# SPDX-License-Identifier: Apache-2.0
"""The exceptions of pyrunc; each class has its exit status, and its text is one line.

    PyruncError                 1   anything that a caller can cause
    ├── UsageError              1   the command line is wrong
    ├── ConfigError             1   a field of config.json is wrong or unsupported (has a JSON pointer)
    ├── IdError                 1   the container id has a character that is not allowed
    ├── ExistsError             1   create: the id is in use
    ├── NotFoundError           1   no such container
    ├── StatusError             1   the container's status does not allow the operation
    ├── StateError              1   the state directory or a record in it cannot be used
    ├── HostError               1   this kernel or this host lacks something
    ├── CgroupError             1   a cgroup cannot be made, limited or removed
    ├── HookError               1   a hook failed
    ├── CriuError               1   criu could not checkpoint or restore
    ├── SetupError              1   an instruction of the program failed (has the call and its errno)
    └── ExecError               1   the user's command cannot be executed

Only cli.main prints them. `exec` leaves with 255 for each of them, as runc does.
"""


class PyruncError(Exception):
    """An error with its cause in one line and, where a field of config.json asked for it, that field.

    `cause` begins in lower case and has no full stop; `pointer` is a JSON pointer (RFC 6901) or "".
    """

    exit_status = 1

    def __init__(self, cause: str, pointer: str = "") -> None:
        super().__init__(cause, pointer)
        self.cause = cause
        self.pointer = pointer

    def __str__(self) -> str:
        text = f"{self.pointer}: {self.cause}" if self.pointer else self.cause
        return one_line(text)


def one_line(text: str) -> str:
    """`text` without control characters: they become escapes, so that one error is one line (no log injection)."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode("ascii") for c in text
    )


class UsageError(PyruncError):
    """The command line cannot be taken."""


class ConfigError(PyruncError):
    """A field of config.json is missing, has a wrong value, or is not supported."""


class IdError(PyruncError):
    """The container id is not `[A-Za-z0-9_+-][A-Za-z0-9_+.-]*` of at most 255 characters."""


class ExistsError(PyruncError):
    """A container with this id exists."""


class NotFoundError(PyruncError):
    """No container with this id exists; engines look for the words "does not exist"."""


class StatusError(PyruncError):
    """The status of the container does not allow the operation."""


class StateError(PyruncError):
    """The state directory, or a record in it, cannot be read, written or trusted."""


class HostError(PyruncError):
    """This kernel or host lacks what the operation needs."""


class CgroupError(PyruncError):
    """A cgroup cannot be made, limited, joined or removed."""


class HookError(PyruncError):
    """A hook of config.json failed or ran out of time."""


class CriuError(PyruncError):
    """CRIU could not save a container's processes, or bring them back; the words are those of its log."""


class SetupError(PyruncError):
    """An instruction of the program failed: `call` as written, `number` its errno, `why` what a probe found or ""."""

    def __init__(self, pointer: str, call: str, number: int, text: str, why: str = "") -> None:
        super().__init__(f"{call}: {text}" + (f": {why}" if why else ""), pointer)
        self.call = call
        self.errno = number


class ExecError(PyruncError):
    """The user's command cannot be executed; the words decide the engine's exit status (126 or 127)."""
