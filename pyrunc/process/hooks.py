# SPDX-License-Identifier: Apache-2.0
"""Hooks in the runtime's namespaces: prestart, createRuntime, poststart, poststop (config.md#posix-platform-hooks).

runtime ── state as JSON ──▶ 0 ┐
        ◀── the last 4 KiB ── 1,2 hook, leader of its own process group
"""

import posix
import select
import time

from pyrunc.errors import ConfigError, HookError
from pyrunc.linux.errnos import reason
from pyrunc.process.inherited import closings
from pyrunc.process.signals import DEFAULT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.config.fields import Section

_TAIL = 4096  # bytes of a failed hook's output in the error
_CHUNK = 65536  # what a pipe holds
_SIGKILL = 9
_OUTPUTS = ((1, "run.oci.hooks.stdout"), (2, "run.oci.hooks.stderr"))
_UMASK = 0o022  # the runtime's own is 077: what a hook makes is for others too


def run_hooks(
    hooks: "list[Section]", state: bytes, kind: str, cwd: str = "", annotations: "dict[str, str] | None" = None
) -> None:
    """Run the hooks of one kind in their order, each with `state` on its stdin; HookError for the first that fails.

    `cwd` is the bundle: runc and crun run hooks in it. A hook has ended when its process has, whoever holds its output,
    which goes to the files that crun's `annotations` name, or a part of it into the error.
    """
    for index, hook in enumerate(hooks):
        try:
            _run(hook, state, cwd, annotations or {})
        except HookError as error:
            raise HookError(f"error running {kind} hook #{index}: {error.cause}", hook.pointer) from error


def run_poststop(
    hooks: "list[Section]", state: bytes, cwd: str = "", annotations: "dict[str, str] | None" = None
) -> list[str]:
    """Run all poststop hooks; each failure becomes a warning, and the next runs (runtime.md#lifecycle, SPEC-342)."""
    warnings = []
    for hook in hooks:
        try:
            _run(hook, state, cwd, annotations or {})
        except _StatusError as error:
            warnings.append(
                f"{hook.pointer}: poststop hook failed with exit code {error.code}: {error.path}{error.rest}"
            )
        except (HookError, ConfigError) as error:
            warnings.append(f"{hook.pointer}: poststop hook failed: {error.cause}")
    return warnings


class _StatusError(HookError):
    """A hook that ended by itself, and not with 0."""

    def __init__(self, path: str, code: int, rest: str) -> None:
        super().__init__(f"{path}: exit status {code}{rest}")
        self.path = path
        self.code = code
        self.rest = rest


def check_hook(hook: "Section") -> "tuple[str, list[str], dict[str, str], int]":
    """(path, argv, environment, timeout in seconds or 0) of a hook; ConfigError for a field that is wrong."""
    path = hook.text("path")
    if not path.startswith("/"):
        raise hook.refuse("path", f"must be absolute: {path}")
    environment = {}
    for index, text in enumerate(hook.texts("env")):
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise ConfigError(f"must be NAME=VALUE: {text}", f"{hook.at('env')}/{index}")
        environment[name] = value
    return path, hook.texts("args") or [path], environment, hook.integer("timeout", 1, 2**31 - 1, None) or 0


def _run(hook: "Section", state: bytes, cwd: str, annotations: dict[str, str]) -> None:
    path, argv, environment, timeout = check_hook(hook)
    files = _open_outputs(annotations)
    start = time.monotonic()
    reader, stdin = posix.pipe2(posix.O_CLOEXEC)
    output, writer = posix.pipe2(posix.O_CLOEXEC)
    try:
        pid = _start(path, argv, environment, cwd, (reader, files.get(1, writer), files.get(2, writer)))
    except BaseException:
        posix.close(stdin)
        posix.close(output)
        raise
    finally:
        for fd in (reader, writer, *files.values()):
            posix.close(fd)
    conversation = _Conversation(pid, stdin, output, state)
    try:
        finished = conversation.hold(start + timeout if timeout else 0.0)
    except BaseException:
        posix.killpg(pid, _SIGKILL)
        posix.waitpid(pid, 0)
        raise
    else:
        if not finished:
            # Not reaped yet, so its number is still the number of its group.
            posix.killpg(pid, _SIGKILL)
        status = posix.waitpid(pid, 0)[1]
    finally:
        conversation.close()
    if not finished:
        raise HookError(f"{path}: timed out after {timeout} s{conversation.text()}")
    if status:
        code = posix.waitstatus_to_exitcode(status)
        rest = f" after {time.monotonic() - start:.2f} s{conversation.text()}"
        raise _StatusError(path, code, rest) if code >= 0 else HookError(f"{path}: killed by signal {-code}{rest}")


def _open_outputs(annotations: dict[str, str]) -> dict[int, int]:
    """Descriptors of the files to which crun's annotations send what hooks print, by the hook's number."""
    files: dict[int, int] = {}
    for place, key in _OUTPUTS:
        path = annotations.get(key)
        if path:
            flags = posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND | posix.O_CLOEXEC | posix.O_NOCTTY
            try:
                files[place] = posix.open(path, flags, 0o600)
            except OSError as error:
                for fd in files.values():
                    posix.close(fd)
                raise HookError(f'cannot open "{path}": {reason(error.errno)}', f"/annotations/{key}") from error
    return files


def _start(path: str, argv: list[str], environment: dict[str, str], cwd: str, ends: tuple[int, int, int]) -> int:
    """The pid of the hook: nothing open but `ends` as 0 to 2, signals as a shell gives them, a group of its own."""
    actions: list[tuple[int, int, int] | tuple[int, int]] = [
        (posix.POSIX_SPAWN_DUP2, fd, place) for place, fd in enumerate(ends)
    ]
    actions += closings()
    back = _enter(cwd)
    before = posix.umask(_UMASK)
    try:
        return posix.posix_spawn(
            path,
            argv,
            environment,
            file_actions=actions,
            setpgroup=0,
            setsigmask=(),
            setsigdef=DEFAULT,
        )
    except OSError as error:
        from pyrunc.process.explain import cannot_run

        raise HookError(f"{path}: {cannot_run(path, error.errno or 0)}") from error
    finally:
        posix.umask(before)
        posix.fchdir(back)
        posix.close(back)


def _enter(cwd: str) -> int:
    """Change into `cwd`, or into / when it is gone, as at delete; a descriptor of where we were."""
    back = posix.open(".", posix.O_PATH | posix.O_CLOEXEC)
    if cwd:
        try:
            posix.chdir(cwd)
        except OSError:
            posix.chdir("/")
    return back


class _Conversation:
    """What goes in and comes out while a hook runs; never blocks on one that does not read, or prints without end."""

    __slots__ = ("_output", "_pidfd", "_rest", "_stdin", "_tail")

    def __init__(self, pid: int, stdin: int, output: int, state: bytes) -> None:
        self._pidfd = posix.pidfd_open(pid)
        self._stdin = stdin
        self._output = output
        self._rest = memoryview(state)
        self._tail = b""
        posix.set_blocking(stdin, False)
        posix.set_blocking(output, False)

    def hold(self, end: float) -> bool:
        """Whether the hook ended by itself before `end`, a monotonic time; 0.0 is never."""
        self._write()
        while True:
            poll = select.poll()
            poll.register(self._pidfd, select.POLLIN)
            if self._output >= 0:
                poll.register(self._output, select.POLLIN)
            if self._stdin >= 0:
                poll.register(self._stdin, select.POLLOUT)
            ready = {fd for fd, _ in poll.poll(max(0.0, end - time.monotonic()) * 1000 if end else None)}
            if self._output in ready:
                self._read()
            if self._stdin in ready:
                self._write()
            if self._pidfd in ready:
                self._read()  # what it printed last; a child of it may print on
                return True
            if end and time.monotonic() >= end:
                return False

    def text(self) -> str:
        """`: ` and the end of what the hook printed; "" when it was silent."""
        shown = self._tail.decode("utf-8", "backslashreplace").strip()
        return f": {shown}" if shown else ""

    def close(self) -> None:
        for fd in (self._pidfd, self._stdin, self._output):
            if fd >= 0:
                posix.close(fd)

    def _write(self) -> None:
        try:
            self._rest = self._rest[posix.write(self._stdin, self._rest) :] if self._rest else self._rest
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._rest = self._rest[:0]
        if not self._rest:
            posix.close(self._stdin)
            self._stdin = -1

    def _read(self) -> None:
        if self._output < 0:
            return
        try:
            data = posix.read(self._output, _CHUNK)
        except BlockingIOError:
            return
        if data:
            self._tail = (self._tail + data)[-_TAIL:]
            return
        posix.close(self._output)
        self._output = -1
