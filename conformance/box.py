# SPDX-License-Identifier: Apache-2.0
"""A container under test: a bundle with a busybox root, a `--root` of its own, and the runtime's operations.

facts = box.facts(process(user={"umask": 63}), umask="umask")    # create, start, wait, delete
box.same("SPEC-129", facts["umask"], "0077")
"""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

from conformance import host, traces
from conformance.patch import Patch, merge, plain
from conformance.requirements import FAIL, PASS, Failed
from conformance.rootfs import Kit

SECONDS = 20
"""How long one call of the runtime, or the container's process, may take."""
MARK = "\x01"

_controls: set[str] = set()


class Result:
    """How a call of the runtime ended."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err

    @property
    def why(self) -> str:
        """The last line that it wrote, for a message."""
        lines = [line for line in f"{self.out}\n{self.err}".splitlines() if line.strip()]
        return f"status {self.status}" + (f": {lines[-1].strip()[:300]}" if lines else "")


@contextlib.contextmanager
def within(seconds: float, what: str) -> Iterator[None]:
    """Failed when it takes longer; any wait inside is interrupted."""

    def late(_signal: int, _frame: FrameType | None) -> None:
        raise Failed(f"{what} did not end within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Box:
    """One bundle. id: unique on this machine, in the name of all that it makes.

    verdicts: (requirement, verdict, detail) of each look; said: the file that the created container writes to.
    """

    def __init__(self, runtime: list[str], kit: Kit, folder: pathlib.Path, token: str) -> None:
        self.runtime = runtime
        self.kit = kit
        self.folder = folder
        self.id = token
        self.bundle = folder / "bundle"
        self.rootfs = self.bundle / "rootfs"
        self.root = folder / "state"
        self.companions: list[int] = []
        self.verdicts: list[tuple[str, str, str]] = []
        self.said = folder
        self._calls = 0
        for path in (folder, self.bundle, self.root):
            path.mkdir(mode=0o711)
        self.root.chmod(0o700)
        kit.make(self.rootfs)
        self._before = self.snapshot()

    # verdicts

    def holds(self, id: str, condition: object, detail: str) -> None:
        """The requirement is met, or it is not: then `detail` says what was found."""
        self.verdicts.append((id, PASS if condition else FAIL, "" if condition else detail))

    def same(self, id: str, found: object, expected: object, what: str = "") -> None:
        """The requirement is met when the two are equal."""
        label = f"{what}: " if what else ""
        self.holds(id, found == expected, f"{label}found {found!r}, expected {expected!r}")

    # the runtime

    def call(
        self, *arguments: object, env: dict[str, str] | None = None, fds: tuple[int, ...] = (), umask: int = -1
    ) -> Result:
        """`runtime --root DIR ARGUMENTS`; what it writes goes to files, which a container may keep open."""
        self._calls += 1
        out, err = self.folder / f"out.{self._calls}", self.folder / f"err.{self._calls}"
        command = [*self.runtime, "--root", str(self.root), *map(str, arguments)]
        environment = {**os.environ, **(env or {})}
        with out.open("wb") as stdout, err.open("wb") as stderr:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                cwd=self.folder,
                env=environment,
                pass_fds=fds,
                umask=umask,
            )
            try:
                with within(SECONDS * host.patience, f"`{arguments[0]}`"):
                    child.wait()
            finally:
                if child.returncode is None:
                    child.kill()
                    child.wait()
        return Result(child.returncode, out.read_text(errors="replace"), err.read_text(errors="replace"))

    def succeed(self, *arguments: object, **options: Any) -> Result:
        """The same, and Failed when its exit status is not 0."""
        result = self.call(*arguments, **options)
        if result.status != 0:
            raise Failed(f"`{arguments[0]}` fails: {result.why}")
        return result

    def write(self, patch: Patch, *argv: str) -> Patch:
        """config.json. One word of argv is a shell's line, several are the process's args."""
        config = merge(plain(self.id), patch)
        if argv and "process" in config:
            config["process"]["args"] = ["/bin/busybox", "sh", "-c", *argv] if len(argv) == 1 else list(argv)
        (self.bundle / "config.json").write_text(json.dumps(config), encoding="utf-8")
        return config

    def try_create(self, patch: Patch, *argv: str, flags: tuple[object, ...] = (), **options: Any) -> Result:
        self.write(patch, *argv)
        return self.create_as_is(*flags, **options)

    def create_as_is(self, *flags: object, id: str = "", **options: Any) -> Result:
        """`create` of the bundle as it stands."""
        result = self.call("create", "--bundle", self.bundle, *flags, id or self.id, **options)
        self.said = self.folder / f"out.{self._calls}"
        return result

    def create(self, patch: Patch, *argv: str, **options: Any) -> None:
        result = self.try_create(patch, *argv, **options)
        if result.status != 0:
            raise Failed(f"`create` fails: {result.why}")

    def start(self, patch: Patch | None = None, *argv: str, **options: Any) -> None:
        """`start`, with `create` before it when there is a patch."""
        if patch is not None:
            self.create(patch, *argv, **options)
        self.succeed("start", self.id)

    def state(self, id: str = "") -> Any:
        """What `state` prints, parsed."""
        text = self.succeed("state", id or self.id).out
        try:
            found = json.loads(text)
        except ValueError:
            raise Failed(f"`state` prints no JSON: {text[:100]!r}") from None
        if not isinstance(found, dict):
            raise Failed(f"`state` prints no object: {text[:100]!r}")
        return found

    def pid(self) -> int:
        pid = self.state().get("pid")
        if not isinstance(pid, int):
            raise Failed("`state` has no pid")
        return pid

    def delete(self) -> None:
        self.succeed("delete", self.id)

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        self.succeed("kill", self.id, "KILL")
        self.ended()

    def ended(self) -> None:
        """Wait until the container's process, which is our child, has ended; Failed when it does not."""
        with within(SECONDS * host.patience, "the container's process"):
            while set(traces.children()) - set(self.companions):
                try:
                    os.waitpid(-1, 0)
                except ChildProcessError:
                    return

    def output(self) -> str:
        """What the process of the container that was created last has written."""
        return self.said.read_text(errors="replace")

    # a whole life

    def lines(self, patch: Patch, *argv: str, **options: Any) -> list[str]:
        """What the process prints, from create to delete."""
        self.start(patch, *argv, **options)
        self.ended()
        self.delete()
        return self.output().splitlines()

    def facts(self, patch: Patch, options: dict[str, Any] | None = None, /, **asked: str) -> dict[str, str]:
        """The same for shell lines with a name each; Failed when nothing was printed at all."""
        script = "".join(f"echo '{MARK}{name}'; {{ {line}\n}} 2>&1; " for name, line in asked.items())
        text = "\n".join(self.lines(patch, script + f"echo '{MARK}'", **(options or {})))
        found = {}
        for part in text.split(MARK)[1:]:
            name, _, value = part.partition("\n")
            found[name] = value.removesuffix("\n")
        if set(found) != {*asked, ""}:
            raise Failed(f"the container's process said nothing, or too little: {text[-100:]!r}")
        return found

    def fact(self, patch: Patch, line: str, **options: Any) -> str:
        """What one shell line prints inside."""
        return self.facts(patch, options, fact=line)["fact"]

    # what must fail

    def control(self, patch: Patch) -> None:
        """Failed unless the runtime runs this container: what it refuses otherwise says nothing."""
        key = json.dumps(patch, sort_keys=True).replace(str(self.folder), "")
        if key not in _controls:
            # Only a later call of the runtime makes a process that echoes; `true` would be content with nothing.
            if self.fact(patch, "echo fine") != "fine":
                raise Failed("a good container does not run, either")
            _controls.add(key)

    def refused(self, id: str, bad: Patch, good: Patch | None = None, *, late: bool | None = None) -> None:
        """`create` with the patch is an error, and leaves nothing. The properties of `process` may wait for `start`."""
        self.control(good or {})
        before = self.snapshot()
        given = "args" in (bad.get("process") or {})
        result = self.try_create(bad, *([] if given else ["echo ran"]))
        late = set(bad) == {"process"} if late is None else late
        self.judge_refusal(id, result, before, json.dumps(bad)[:100], late=late)

    def judge_refusal(
        self, id: str, result: Result, before: traces.Snapshot, what: str = "it", *, late: bool = False
    ) -> None:
        """The same for a `create` that was made already; `what` it should have refused."""
        if result.status == 0 and late:
            result = self.call("start", self.id)
            self.holds(id, result.status != 0, f"`create` and `start` accept {what}")
            if result.status != 0:
                self._delete_by_force(self.id)
                left = traces.left(before, self.id, self.root, self.companions)
                self.holds("SPEC-366", not left, f"{id} left behind {left}")
            self.clean()
            return
        self.holds(id, result.status != 0, f"`create` accepts {what}")
        if result.status != 0:
            left = traces.left(before, self.id, self.root, self.companions)
            self.holds("SPEC-343", not left, f"{id} left behind {left}")
            self.holds("SPEC-355", "state: " not in left, f"{id}: a container was made: {left}")
        self.clean()

    # what is left

    def snapshot(self) -> traces.Snapshot:
        return traces.snapshot(self.id, self.root, self.companions)

    def left(self) -> str:
        """What the runtime has left since this began, in words; "" is nothing."""
        return traces.left(self._before, self.id, self.root, self.companions)

    def clean(self) -> None:
        """No container is there any more, by force."""
        for name in sorted(os.listdir(self.root)):
            if name.startswith(self.id):
                with contextlib.suppress(OSError):
                    self._delete_by_force(name)
        traces.end(self.id, self.folder)
        self.companions.clear()

    def _delete_by_force(self, name: str) -> None:
        """What dies meanwhile is ours to reap, or a runtime waits in vain for the end of a pid namespace."""
        command = [*self.runtime, "--root", str(self.root), "delete", "--force", name]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as child:
            deadline = host.deadline(SECONDS)
            while child.poll() is None:
                traces.reap([child.pid, *self.companions])
                time.sleep(0.005)
                if time.monotonic() > deadline:
                    child.kill()
