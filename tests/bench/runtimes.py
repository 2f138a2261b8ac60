# SPDX-License-Identifier: Apache-2.0
"""The runtimes that are compared, and one call of one of them: its time, its CPU time, its memory."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
PIP = CHECKOUT / "build/bench/pip"
_NULL = os.open(os.devnull, os.O_RDWR)


class Sample:
    """One call. ms: of the clock, cpu: ms of user and system time."""

    __slots__ = ("cpu", "ms", "status")

    def __init__(self, ms: float, cpu: float, status: int) -> None:
        self.ms = ms
        self.cpu = cpu
        self.status = status


class Runtime:
    """A runtime with a state directory of its own."""

    def __init__(self, name: str, program: str, root: Path) -> None:
        self.name = name
        self.program = program
        self.root = root

    def argv(self, *words: object) -> list[str]:
        return [self.program, "--root", str(self.root), *map(str, words)]

    def call(self, *words: object) -> Sample:
        """Its streams are /dev/null: what is measured must not wait for a reader."""
        argv = self.argv(*words)
        streams = [(os.POSIX_SPAWN_DUP2, _NULL, number) for number in range(3)]
        before = time.perf_counter()
        pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=streams)
        _, status, usage = os.wait4(pid, 0)
        ms = (time.perf_counter() - before) * 1000
        cpu = (usage.ru_utime + usage.ru_stime) * 1000
        return Sample(ms, cpu, os.waitstatus_to_exitcode(status))

    def must(self, *words: object) -> Sample:
        """A call that has to succeed; else its own words are shown."""
        sample = self.call(*words)
        if sample.status:
            done = subprocess.run(self.argv(*words), stdin=_NULL, capture_output=True, text=True, check=False)
            raise SystemExit(f"{self.name} {' '.join(map(str, words))}: status {sample.status}: {done.stderr.strip()}")
        return sample

    def peak(self, *words: object) -> int:
        """KiB of resident memory at its highest."""
        program = PIP / "peak"
        if not program.exists():
            subprocess.run(["cc", "-static", "-O1", "-o", program, Path(__file__).with_name("peak.c")], check=True)
        # A file, not a pipe: a created container keeps it open
        with tempfile.TemporaryFile("w+") as file:
            command = [str(program), *self.argv(*words)]
            subprocess.run(command, stdin=_NULL, stdout=_NULL, stderr=file, check=True)
            file.seek(0)
            return int(file.read().split()[-1])

    def version(self) -> str:
        done = subprocess.run([self.program, "--version"], capture_output=True, text=True, check=False)
        line = (done.stdout.splitlines() or ["?"])[0]
        pythons = list(Path(self.program).parent.glob("python3.*"))
        return f"{line}, {pythons[0].name} ({pythons[0].resolve()})" if pythons and self.name == "pyrunc-pip" else line

    def clear(self) -> None:
        """Delete what an interrupted run has left."""
        for name in [entry.name for entry in self.root.iterdir() if entry.is_dir()]:
            self.call("delete", "--force", name)


def find(roots: Path, bundle: Path) -> tuple[list[Runtime], dict[str, str]]:
    """Those that are here and run /bin/true from `bundle`; and the others, each with its reason."""
    found: list[Runtime] = []
    missing: dict[str, str] = {}
    for name, program in (
        ("pyrunc", os.environ.get("PYRUNC") or str(CHECKOUT / "dist/pyrunc")),
        ("pyrunc-pip", str(PIP / "bin/pyrunc")),
        ("runc", os.environ.get("RUNC") or shutil.which("runc")),
        ("crun", os.environ.get("CRUN") or shutil.which("crun")),
    ):
        if program is None or not Path(program).exists():
            missing[name] = "it is not here"
            continue
        runtime = Runtime(name, program, roots / name)
        runtime.root.mkdir(parents=True, mode=0o700)
        words = runtime.argv("run", "--bundle", bundle, f"bench-try-{name}")
        done = subprocess.run(words, stdin=_NULL, capture_output=True, text=True, check=False)
        if done.returncode:
            missing[name] = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
            continue
        found.append(runtime)
    for name, cause in missing.items():
        print(f"without {name}: {cause}", file=sys.stderr)
    return found, missing
