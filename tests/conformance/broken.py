#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A runtime that is $RUNTIME but for the faults that $FAULTS names: it alters config.json and hands it on.

ROWS is read by test_broken.py, too: the fault, and the requirements that it breaks. LEAKS are what it leaves where
`create` fails.
"""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

Config = dict[str, Any]
ROWS: dict[str, tuple[str, Callable[[Config], object]]] = {
    "bounding set": ("109 110 111 112 113 388", lambda config: config["process"]["capabilities"].update(bounding=[])),
    "inheritable set": ("111", lambda config: _first(config["process"]["capabilities"], "inheritable")),
    "umask": ("129", lambda config: config["process"]["user"].pop("umask", None)),
    "gid": ("128", lambda config: config["process"]["user"].update(gid=0)),
    "additional gids": ("131", lambda config: config["process"]["user"].pop("additionalGids", None)),
    "rlimits": ("101 103 104 105", lambda config: config["process"].pop("rlimits", None)),
    "hard limits": ("104", lambda config: _each(config["process"].get("rlimits"), lambda one: {"hard": one["soft"]})),
    "no_new_privs": ("114", lambda config: config["process"].pop("noNewPrivileges", None)),
    "oom score": ("115", lambda config: config["process"].pop("oomScoreAdj", None)),
    "env": ("098", lambda config: config["process"].update(env=config["process"].get("env", [])[:1])),
    "cwd": ("096 097", lambda config: config["process"].update(cwd="/")),
    "readonly root": ("011", lambda config: config["root"].pop("readonly", None)),
    "noexec": ("036", lambda config: _without(config, "noexec")),
    "relatime": ("049", lambda config: _without(config, "relatime")),
    "a refused option": ("045", lambda config: _refuse(config, "ratime")),
    "mount order": ("012", lambda config: config["mounts"].reverse()),
    "masked path": ("315 316", lambda config: config["linux"].pop("maskedPaths", None)),
    "readonly path": ("317 318", lambda config: config["linux"].pop("readonlyPaths", None)),
    "host name": ("132", lambda config: config.pop("hostname", None)),
    "domain name": ("133", lambda config: config.pop("domainname", None)),
    "sysctl": ("291 292", lambda config: config["linux"].pop("sysctl", None)),
    "personality": ("320 321", lambda config: config["linux"].pop("personality", None)),
    "time offsets": ("190 191", lambda config: config["linux"].pop("timeOffsets", None)),
    "annotations": ("157 158 160 161 162 164", lambda config: config.pop("annotations", None)),
    "stop signal": ("164", lambda config: config["annotations"].pop("org.opencontainers.image.stopSignal")),
    "device owner": ("198", lambda config: _each(config["linux"].get("devices"), lambda _: {"uid": 77})),
    "other architectures": ("296", lambda config: _one_architecture(config["linux"]["seccomp"])),
    "seccomp errno": ("308", lambda config: _each(_rules(config, "errnoRet"), lambda _: {"errnoRet": 1})),
    "seccomp arguments": ("309", lambda config: _each(_rules(config, "args"), lambda _: {"args": []})),
    "one hook of two": ("147 334 335 336 337 339 341", lambda config: _hooks(config, lambda rows: rows[:1])),
    "hook environment": ("136", lambda config: _hooks(config, lambda rows: [{**one, "env": []} for one in rows])),
}
NEIGHBOURS = "127 099 047 062"
"""No fault is about them."""


def _each(rows: list[Config] | None, fields: Callable[[Config], Config]) -> None:
    for one in rows or []:
        one.update(fields(one))


def _rules(config: Config, key: str) -> list[Config]:
    """Those that say the one, and not both: 309 tells by an errno what its arguments do."""
    rules = config["linux"].get("seccomp", {}).get("syscalls", [])
    return [one for one in rules if key in one and not (key == "errnoRet" and "args" in one)]


def _first(sets: Config, name: str) -> None:
    """Of a set of capabilities the first alone."""
    sets[name] = sets[name][:1]


def _without(config: Config, option: str) -> None:
    for one in config["mounts"]:
        one["options"] = [word for word in one.get("options", []) if word != option]


def _refuse(config: Config, option: str) -> None:
    """No container at all where a mount has the option: what is beside it is not to suffer."""
    if any(option in one.get("options", []) for one in config["mounts"]):
        raise SystemExit("an option that is not known")


def _one_architecture(seccomp: Config) -> None:
    seccomp["architectures"] = seccomp["architectures"][:1]


def _hooks(config: Config, alter: Callable[[list[Config]], list[Config]]) -> None:
    for kind, rows in config.get("hooks", {}).items():
        config["hooks"][kind] = alter(rows)


def _cgroup(name: str, _bundle: pathlib.Path, _root: pathlib.Path) -> None:
    folder = pathlib.Path("/sys/fs/cgroup")
    ((folder if (folder / "cgroup.procs").exists() else folder / "pids") / name).mkdir()


LEAKS: dict[str, Callable[[str, pathlib.Path, pathlib.Path], object]] = {
    "processes": lambda _id, _bundle, _root: subprocess.Popen(["sleep", "600"], start_new_session=True),
    "mounts": lambda _id, bundle, _root: subprocess.run(["mount", "-t", "tmpfs", "left", bundle], check=True),
    "cgroups": _cgroup,
    "state": lambda name, _bundle, root: (root / name).mkdir(),
}


def _leak(kinds: list[str], argv: list[str]) -> None:
    """`create`, and what a bad runtime leaves when it fails."""
    status = subprocess.run([os.environ["RUNTIME"], *argv], check=False).returncode
    for kind in kinds if status else ():
        bundle, root = (pathlib.Path(argv[argv.index(flag) + 1]) for flag in ("--bundle", "--root"))
        LEAKS[kind](argv[-1], bundle, root)
    sys.exit(status)


def main(argv: list[str]) -> None:
    if "create" in argv and "--bundle" in argv:
        path = pathlib.Path(argv[argv.index("--bundle") + 1], "config.json")
        try:
            config = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            config = None  # one that is broken already is the runtime's to refuse
        faults = os.environ["FAULTS"].split(",")
        if set(faults) <= set(LEAKS):
            _leak(faults, argv)
        for name in faults if isinstance(config, dict) else []:
            with contextlib.suppress(LookupError, TypeError, AttributeError):
                ROWS[name][1](config)
            path.write_text(json.dumps(config), "utf-8")
    os.execv(os.environ["RUNTIME"], [os.environ["RUNTIME"], *argv])


if __name__ == "__main__":
    main(sys.argv[1:])
