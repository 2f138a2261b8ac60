#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a container is, step by step: `make demo`. Every line after "$" can be typed as it stands.
set -eu -o pipefail
cd "$(dirname "$0")/.."

id=demo
bundle=.demo/box
mkdir -p .demo
rootless=
[ "$(id -u)" = 0 ] || rootless=--rootless
# Where the container sees its memory limit; "" if it cannot have one.
limit_file=
if [ -n "$rootless" ]; then
    why_no_limit="a limit needs a cgroup of your own: run the demo as root"
elif grep -qs memory /sys/fs/cgroup/cgroup.controllers; then
    limit_file=/sys/fs/cgroup/memory.max
elif grep -q ' cgroup .*\bmemory\b' /proc/mounts; then
    limit_file=/sys/fs/cgroup/memory/memory.limit_in_bytes
else
    why_no_limit="this kernel has no memory controller"
fi
# An ordinary user's state directory is $XDG_RUNTIME_DIR/pyrunc; without a login session there is none.
[ -z "$rootless" ] || [ -n "${XDG_RUNTIME_DIR:-}" ] || export XDG_RUNTIME_DIR=$PWD/.demo

bold=
plain=
if [ -t 1 ]; then
    bold=$'\e[1m'
    plain=$'\e[0m'
fi

step() { # step TITLE EXPLANATION...
    printf '\n%s== %s%s\n' "$bold" "$1" "$plain"
    shift
    [ $# = 0 ] || printf '%s\n' "$@"
}

run() { # run LINE: show it and do it, as typed
    printf '%s$ %s%s\n' "$bold" "$1" "$plain"
    eval "$1"
}

fails() { # fails LINE: the same, for what must not succeed
    run "$1" 2>&1 && { echo "this should have failed" >&2; exit 1; }
    return 0
}

edit_config() { # what a person does in an editor
    python3 - "$bundle/config.json" "${limit_file:+limited}" <<'PYTHON'
import json, sys

path, limited = sys.argv[1:]
with open(path) as file:
    config = json.load(file)
config["hostname"] = "box"
config["process"].update(terminal=False, args=["sleep", "1000"])
if limited:
    config["linux"].setdefault("resources", {})["memory"] = {"limit": 64 << 20}
with open(path, "w") as file:
    json.dump(config, file, indent=4)
PYTHON
}

cleanup() {
    pyrunc delete --force "$id" 2>/dev/null || true
}
trap cleanup EXIT
cleanup
rm -rf "$bundle"

echo "In your own shell, put .venv/bin on PATH first: export PATH=\"$PWD/.venv/bin:\$PATH\""

step "A bundle" "A folder with a root file system, here of one program with many names, and a config.json."
run "mkdir -p $bundle/rootfs/bin"
run "cp $(command -v busybox) $bundle/rootfs/bin/"
run "$bundle/rootfs/bin/busybox --install $bundle/rootfs/bin"
run "pyrunc spec ${rootless:+$rootless }--bundle $bundle"
echo "In config.json: no terminal, \"sleep 1000\" as the process, hostname \"box\"${limit_file:+, a memory limit of 64 MiB}."
edit_config

step "The program" "pyrunc compiles config.json into a list of system calls. These are the ones for its first mount, /proc:"
run "pyrunc plan --bundle $bundle | grep '/mounts/0\$'"

step "Create" "Everything is made, nothing runs yet: the process waits for start."
run "pyrunc create --bundle $bundle $id </dev/null"
run "pyrunc list"

step "Start" "From here on, sleep runs as the container's first process."
run "pyrunc start $id"

step "Its pid 1" "The container sees its own processes only, numbered from 1. The host has $(find /proc -maxdepth 1 -name '[0-9]*' | wc -l), sleep among them, under another number."
run "pyrunc exec $id ps"

step "Its hostname" "The host's is \"$(uname -n)\"."
run "pyrunc exec $id hostname"

step "Its mounts" "The host has $(wc -l </proc/self/mountinfo). The container has its own, and sees no other."
run "pyrunc exec $id mount"

step "Its memory limit"
if [ -n "$limit_file" ]; then
    run "pyrunc exec $id cat $limit_file"
else
    echo "missing: $why_no_limit."
fi

step "Its dropped capabilities" "It is uid 0, and yet not the administrator: these bits are left to it. The second line is this shell's."
run "pyrunc exec $id grep CapEff /proc/self/status"
run "grep CapEff /proc/self/status"
echo "So root may not:"
fails "pyrunc exec $id mount -t tmpfs none /dev/shm"

if [ -n "$rootless" ]; then
    seen="The host's files are not there, and the dangerous parts of /proc are empty. Its network is the host's, as one of an ordinary user's own would lead nowhere."
else
    seen="The host's files are not there, nor its network, and the dangerous parts of /proc are empty."
fi
step "What it cannot see" "$seen"
run "pyrunc exec $id ls /"
fails "pyrunc exec $id ls $PWD"
run "pyrunc exec $id ip link"
run "pyrunc exec $id cat /proc/timer_list | wc -c"

step "The state" "As engines read it."
run "pyrunc state $id"

step "Kill and delete" "sleep, as a pid 1, ignores all but KILL. Afterwards nothing is left: no process, mount, cgroup or file."
run "pyrunc kill $id KILL"
for _ in 1 2 3 4 5 6 7 8 9 10; do
    pyrunc state "$id" | grep -q '"status": "stopped"' && break
    sleep 0.1
done
run "pyrunc delete $id"
run "pyrunc list"
