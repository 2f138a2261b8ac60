# SPDX-License-Identifier: Apache-2.0
"""process: cwd, env, args, rlimits, capabilities, noNewPrivileges, oomScoreAdj, labels, descriptors."""

import contextlib
import json
import os
import pathlib
import tempfile

from conformance import host
from conformance.box import Box
from conformance.patch import CAPS, capabilities, combine, process
from conformance.requirements import Skipped, case, refusal

CAPABILITIES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT "
    "SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP "
    "MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
)

NUMBERS = {name: number for number, name in enumerate(CAPABILITIES.split())}
LIMITS = {
    # /proc/self/limits' word, number of the resource
    "RLIMIT_CPU": ("Max cpu time", 0),
    "RLIMIT_FSIZE": ("Max file size", 1),
    "RLIMIT_DATA": ("Max data size", 2),
    "RLIMIT_STACK": ("Max stack size", 3),
    "RLIMIT_CORE": ("Max core file size", 4),
    "RLIMIT_RSS": ("Max resident set", 5),
    "RLIMIT_NPROC": ("Max processes", 6),
    "RLIMIT_NOFILE": ("Max open files", 7),
    "RLIMIT_MEMLOCK": ("Max locked memory", 8),
    "RLIMIT_AS": ("Max address space", 9),
    "RLIMIT_LOCKS": ("Max file locks", 10),
    "RLIMIT_SIGPENDING": ("Max pending signals", 11),
    "RLIMIT_MSGQUEUE": ("Max msgqueue size", 12),
    "RLIMIT_NICE": ("Max nice priority", 13),
    "RLIMIT_RTPRIO": ("Max realtime priority", 14),
    "RLIMIT_RTTIME": ("Max realtime timeout", 15),
}


def mask(names: list[str]) -> int:
    return sum(1 << NUMBERS[name.removeprefix("CAP_")] for name in names)


@case("SPEC-093", "SPEC-094")
def no_terminal(box: Box) -> None:
    """Standard streams are the caller's; a consoleSize without terminal has no effect."""
    for patch in ({}, process(terminal=False), process(consoleSize={"height": 11, "width": 22})):
        facts = box.facts(patch, tty="tty", stdout="readlink /proc/$$/fd/1", stdin="readlink /proc/$$/fd/0")
        box.same(
            "SPEC-094" if "process" in patch and "consoleSize" in patch["process"] else "SPEC-093",
            facts["tty"],
            "not a tty",
        )
        box.holds("SPEC-093", "pts" not in facts["stdout"], f"stdout is {facts['stdout']}")


@case("SPEC-096", "SPEC-097")
def cwd(box: Box) -> None:
    (box.rootfs / "data/deep").mkdir()
    found = box.fact(process(cwd="/data/deep"), "readlink /proc/$$/cwd")
    for id in ("SPEC-096", "SPEC-097"):
        box.same(id, found, "/data/deep")


refusal("SPEC-096", process(cwd=None))
refusal("SPEC-097", process(cwd="data"))
refusal("SPEC-097", process(cwd="./"))
refusal("SPEC-096", process(cwd=""))


@case("SPEC-098")
def env(box: Box) -> None:
    """Every entry, in its order; nothing of the caller's."""
    env = ["PATH=/bin", "B=2", "A=1", "EMPTY=", "SPACED= x y ", "EQUALS=a=b", "Ü=ü"]
    out = box.lines(process(env=env), "cat", "/proc/self/environ", env={"CONFORMANCE_CANARY": "leaked"})
    found = "\n".join(out).split("\0")
    given = [one for one in found if one.split("=")[0] in {entry.split("=")[0] for entry in env}]
    box.same("SPEC-098", given, env)
    box.holds("SPEC-098", not any("CANARY" in one for one in found), "the environment of the caller leaks")


@case("SPEC-099", "SPEC-100")
def args(box: Box) -> None:
    """Argv as it stands, and the program as execvp(3) finds it in the PATH of the container's env."""
    words = ["sh", "-c", 'printf "<%s>" "$0" "$@"', "zero", "", "a b", "*", "ü"]
    box.same("SPEC-099", "".join(box.lines({}, *words)), "<zero><><a b><*><ü>", "argv")
    other = box.rootfs / "data/conformance-tool"
    other.write_text("#!/bin/sh\necho by path\n")
    other.chmod(0o755)
    rows = (
        ("by path", "/data/conformance-tool", "PATH=/bin"),
        ("by path", "conformance-tool", "PATH=/nonexistent:/data:/bin"),
    )
    for expected, program, path in rows:
        found = box.lines(process(env=[path]), program, "x")
        box.same("SPEC-100", found, [expected], f"{program} with {path}")


@case("SPEC-100")
def args_relative(box: Box) -> None:
    """A name with a slash is of the working directory, whatever PATH is."""
    other = box.rootfs / "data/tool"
    other.write_text("#!/bin/sh\necho from cwd\n")
    other.chmod(0o755)
    found = box.lines(process(cwd="/data", env=["PATH=/bin"]), "./tool", "x")
    box.same("SPEC-100", found, ["from cwd"])


refusal("SPEC-099", process(args=[]))
refusal("SPEC-099", process(args=None))
refusal("SPEC-100", process(args=["conformance-no-such-program"]))
refusal("SPEC-100", process(args=["/data/no-such-program"]))


def limit(name: str, soft: int, hard: int) -> dict[str, object]:
    return {"type": name, "soft": soft, "hard": hard}


@case("SPEC-101", "SPEC-102", "SPEC-103", "SPEC-104")
def rlimits(box: Box) -> None:
    """Each below what it was: that needs no privilege."""
    lines = pathlib.Path("/proc/self/limits").read_text().splitlines()
    rows = []
    for name, (word, _) in LIMITS.items():
        now = next(line[len(word) :].split()[1] for line in lines if line.startswith(word))
        most = 1 << 34 if now == "unlimited" else int(now)
        rows.append(limit(name, most // 4, most // 2))
    text = box.lines(process(rlimits=rows), "cat", "/proc/self/limits")
    for row in rows:
        word = LIMITS[str(row["type"])][0]
        seen = next((line[len(word) :].split()[:2] for line in text if line.startswith(word)), None)
        for id in ("SPEC-101", "SPEC-102"):
            box.holds(id, seen is not None, f"{row['type']} is not seen")
        if seen is not None:
            box.same("SPEC-103", seen[0], str(row["soft"]), f"soft of {row['type']}")
            box.same("SPEC-104", seen[1], str(row["hard"]), f"hard of {row['type']}")


FINE = process(rlimits=[limit("RLIMIT_CORE", 0, 0)])
refusal("SPEC-101", process(rlimits=[limit("RLIMIT_CONFORMANCE", 0, 0)]), FINE)
refusal("SPEC-101", process(rlimits=[{"soft": 0, "hard": 0}]), FINE)
refusal("SPEC-103", process(rlimits=[limit("RLIMIT_CORE", 2, 1)]), FINE)
refusal("SPEC-105", process(rlimits=[limit("RLIMIT_CORE", 0, 0), limit("RLIMIT_CORE", 0, 0)]), FINE)


@case("SPEC-109", "SPEC-110", "SPEC-111", "SPEC-112", "SPEC-113")
def capability_sets(box: Box) -> None:
    """Five sets, each another, as another user than root, whose exec(2) keeps them apart."""
    both = [*CAPS, "CAP_SETUID", "CAP_SETGID"]
    sets = {
        "bounding": [*both, "CAP_CHOWN"],
        "permitted": [*both, "CAP_FOWNER"],
        "inheritable": ["CAP_KILL", "CAP_AUDIT_WRITE"],
        "ambient": ["CAP_KILL"],
        "effective": ["CAP_KILL", "CAP_NET_BIND_SERVICE"],
    }
    status = _status(box, process(capabilities=sets))
    box.same("SPEC-110", status.get("CapBnd"), mask(sets["bounding"]), "bounding")
    box.same("SPEC-111", status.get("CapInh"), mask(sets["inheritable"]), "inheritable")
    box.same("SPEC-113", status.get("CapAmb"), mask(sets["ambient"]), "ambient")
    if not host.is_root():
        raise Skipped("needs root")
    # A program run by another user has what is ambient; root's has what the bounding set allows, as exec(2) has it.
    status = _status(box, combine(process(user={"uid": 1000, "gid": 1000}), process(capabilities=sets)))
    box.same("SPEC-112", status.get("CapPrm"), mask(sets["ambient"]), "permitted")
    box.same("SPEC-109", status.get("CapEff"), mask(sets["ambient"]), "effective")


@case("SPEC-109", "SPEC-110", "SPEC-112")
def capability_sets_of_root(box: Box) -> None:
    for names in (["CAP_KILL"], CAPS, []):
        status = _status(box, capabilities(*names))
        found = [status.get(name) for name in ("CapEff", "CapBnd", "CapPrm")]
        for id, seen in zip(("SPEC-109", "SPEC-110", "SPEC-112"), found, strict=True):
            box.same(id, seen, mask(names), f"{names}")


def _status(box: Box, patch: dict[str, object]) -> dict[str, int]:
    lines = [line.split() for line in box.lines(patch, "cat", "/proc/self/status")]
    return {line[0][:-1]: int(line[1], 16) for line in lines if line and line[0].startswith("Cap")}


@case("SPEC-114")
def no_new_privileges(box: Box) -> None:
    for flag in (True, False):
        found = box.fact(process(noNewPrivileges=flag), "grep NoNewPrivs /proc/$$/status").split()
        box.same("SPEC-114", found, ["NoNewPrivs:", str(int(flag))])


@case("SPEC-115", "SPEC-116")
def oom_score(box: Box) -> None:
    before = pathlib.Path("/proc/self/oom_score_adj")
    ours = before.read_text()
    try:
        # Upwards, as an ordinary user may not go below what was given to him
        other, asked = max(int(ours), 0) + 77, max(int(ours), 0) + 167
        before.write_text(str(other))
        found = box.fact({}, "cat /proc/$$/oom_score_adj")
        box.same("SPEC-116", found, str(other), "oomScoreAdj is not set")
        found = box.fact(process(oomScoreAdj=asked), "cat /proc/$$/oom_score_adj")
        box.same("SPEC-115", found, str(asked))
    finally:
        with contextlib.suppress(PermissionError):
            before.write_text(ours)


refusal("SPEC-115", process(oomScoreAdj=1001))
refusal("SPEC-115", process(oomScoreAdj=-1001))


@case("SPEC-106", needs="apparmor root")
def apparmor(box: Box) -> None:
    """A profile of this host that is loaded already."""
    rows = pathlib.Path("/sys/kernel/security/apparmor/profiles").read_text().splitlines()
    names = [row.rpartition(" (")[0] for row in rows if row.endswith(("(complain)", "(unconfined)"))]
    if not names:
        raise Skipped("no AppArmor profile is loaded that forbids nothing")
    name = names[0]
    found = box.fact(process(apparmorProfile=name), "cat /proc/$$/attr/current")
    box.holds("SPEC-106", found.startswith(name), f"the profile is {found!r}, not {name!r}")


refusal("SPEC-106", process(apparmorProfile="conformance-no-such-profile"))


@case("SPEC-120", needs="selinux root")
def selinux(box: Box) -> None:
    label = "system_u:system_r:container_t:s0:c1,c2"
    found = box.fact(process(selinuxLabel=label), "cat /proc/$$/attr/current")
    box.same("SPEC-120", found.strip("\0"), label)


refusal("SPEC-120", process(selinuxLabel="system_u:system_r:conformance_t:s0"), needs="no:selinux")


@case("SPEC-369")
def descriptors(box: Box) -> None:
    """What the caller has open stays outside, whether it is closed by exec(2) or not."""
    with tempfile.TemporaryFile() as file:
        os.set_inheritable(file.fileno(), True)
        found = box.lines({}, "ls -l /proc/$$/fd; true", fds=(file.fileno(),))
    numbers = sorted(line.split(" -> ")[0].split()[-1] for line in found if " -> " in line)
    box.same("SPEC-369", numbers, ["0", "1", "2"], " | ".join(line.split(":", 1)[-1] for line in found))


@case("SPEC-370")
def passed_descriptors(box: Box) -> None:
    """Those of socket activation, as sd_listen_fds(3) has it."""
    with tempfile.TemporaryFile() as file:
        file.write(b"handed over")
        file.flush()
        kept = os.dup2(file.fileno(), 3) if file.fileno() != 3 else 3
        os.lseek(kept, 0, os.SEEK_SET)
        options = {"fds": (3,), "flags": ("--preserve-fds", "1")}
        box.start({}, "cat <&3", **options)
    box.ended()
    box.same("SPEC-370", box.output(), "handed over")


def labelled(value: object) -> str:
    """For a message."""
    return json.dumps(value)[:60]
