# SPDX-License-Identifier: Apache-2.0
"""maskedPaths, readonlyPaths, mountLabel, and the links in /dev."""

from conformance.box import Box
from conformance.patch import linux, mount, mounts
from conformance.requirements import case, refusal


@case("SPEC-315")
def masked(box: Box) -> None:
    """A file, a directory and a file of /proc; one that is not there is no matter."""
    (box.rootfs / "data/secret").write_text("secret")
    (box.rootfs / "etc/secrets").mkdir()
    (box.rootfs / "etc/secrets/one").write_text("secret")
    paths = ["/data/secret", "/etc/secrets", "/proc/version", "/data/missing"]
    facts = box.facts(
        linux(maskedPaths=paths), file="cat /data/secret", folder="ls -A /etc/secrets", proc="cat /proc/version"
    )
    box.holds("SPEC-315", "secret" not in facts["file"], f"a masked file reads {facts['file']!r}")
    box.holds("SPEC-315", "one" not in facts["folder"], f"a masked directory has {facts['folder']!r}")
    box.holds("SPEC-315", "Linux" not in facts["proc"], f"/proc/version reads {facts['proc']!r}")
    box.same("SPEC-315", (box.rootfs / "data/secret").read_text(), "secret", "the file itself")


refusal("SPEC-316", linux(maskedPaths=["data"]), linux(maskedPaths=["/data"]))
refusal("SPEC-318", linux(readonlyPaths=["data"]), linux(readonlyPaths=["/data"]))


@case("SPEC-317")
def readonly(box: Box) -> None:
    (box.rootfs / "data/file").write_text("old")
    write = {
        "tree": "touch /data/new",
        "file": "echo new > /etc/file",
        "proc": "echo 1 > /proc/sys/net/ipv4/ip_forward",
    }
    (box.rootfs / "etc/file").write_text("old")
    before = box.facts({}, **{name: f"{line} && echo written" for name, line in write.items()})
    box.same("SPEC-317", [before["tree"], before["file"]], ["written"] * 2, "without readonlyPaths")
    (box.rootfs / "data/new").unlink()
    paths = ["/data", "/etc/file", "/proc/sys", "/data/missing"]
    facts = box.facts(linux(readonlyPaths=paths), **write)
    for name, text in facts.items():
        box.holds("SPEC-317", "Read-only file system" in text, f"{write[name]}: {text!r}")


@case("SPEC-319", needs="selinux root")
def mount_label(box: Box) -> None:
    label = "system_u:object_r:container_file_t:s0"
    found = box.fact({**linux(mountLabel=label), **mounts(mount("/m"))}, "grep ' /m ' /proc/$$/mountinfo")
    box.holds("SPEC-319", label in found, f"mountinfo shows {found}")


@case("SPEC-371", "SPEC-372", "SPEC-373", "SPEC-374", "SPEC-207")
def links(box: Box) -> None:
    names = ("fd", "stdin", "stdout", "stderr")
    facts = box.facts(
        {},
        **{name: f"readlink /dev/{name}" for name in names},
        ptmx="stat -L -c '%t:%T' /dev/ptmx /dev/pts/ptmx",
        kind="readlink /dev/ptmx || grep -c ' /dev/ptmx ' /proc/$$/mountinfo",
    )
    expected = ("/proc/self/fd", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2")
    for number, (name, target) in enumerate(zip(names, expected, strict=True), 371):
        box.same(f"SPEC-{number}", facts[name], target, f"/dev/{name}")
    box.same("SPEC-207", facts["ptmx"].split(), ["5:2", "5:2"], "/dev/ptmx and /dev/pts/ptmx")
    box.holds("SPEC-207", facts["kind"].removeprefix("/dev/") in {"pts/ptmx", "1"}, f"/dev/ptmx: {facts['kind']}")
