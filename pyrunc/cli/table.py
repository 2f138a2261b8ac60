# SPDX-License-Identifier: Apache-2.0
"""Every command and flag of pyrunc, one row each: the fast parser, Typer's help, completion and the tests read it.

The names are runc's; what comes from crun or is pyrunc's own says so in its help.
"""

# What the value of a flag is.
SWITCH = "switch"  # bool; `--flag` or, as Go's flag package has it, `--flag=false`
TEXT = "text"  # str
NUMBER = "number"  # int, decimal digits only
TEXTS = "texts"  # list[str]; the flag may be repeated
NUMBERS = "numbers"  # list[int]; the flag may be repeated

CONTAINER = "container"


class Flag:
    """One option: `--name` (also `-name`), `-short`, and what it takes.

    `default`: False for a switch and None for the rest if not given; a repeatable flag begins with [].
    """

    __slots__ = ("choices", "default", "help", "hidden", "kind", "metavar", "name", "short")

    def __init__(
        self,
        name: str,
        short: str = "",
        kind: str = SWITCH,
        *,
        metavar: str = "",
        default: object = ...,
        choices: tuple[str, ...] = (),
        help: str,
        hidden: bool = False,
    ) -> None:
        self.name = name
        self.short = short
        self.kind = kind
        self.metavar = metavar
        self.default = default if default is not ... else False if kind is SWITCH else None
        self.choices = choices
        self.help = help
        self.hidden = hidden


class Command:
    """One verb. `arguments` are the names of its positionals, of which the first `required` must be there.

    `tail`, as help names it: all words from the first positional on are the verb's; the rest is the value `command`.
    `module`: the module of pyrunc.commands whose `run` does it; "" for those that cli answers itself.
    """

    __slots__ = ("arguments", "flags", "help", "module", "name", "required", "tail")

    def __init__(
        self,
        name: str,
        flags: tuple[Flag, ...] = (),
        arguments: tuple[str, ...] = (CONTAINER,),
        *,
        required: int | None = None,
        tail: str = "",
        module: str | None = None,
        help: str,
    ) -> None:
        self.name = name
        self.flags = flags
        self.arguments = arguments
        self.required = len(arguments) if required is None else required
        self.tail = tail
        self.module = name if module is None else module
        self.help = help


GLOBAL = (
    Flag("root", kind=TEXT, metavar="DIR", help="state directory [/run/pyrunc, rootless $XDG_RUNTIME_DIR/pyrunc]"),
    Flag(
        "log",
        kind=TEXT,
        metavar="FILE",
        help="append errors (and what --log-level adds) to FILE; file:FILE, journald:ID, syslog:ID as crun has them",
    ),
    Flag("log-format", kind=TEXT, default="text", choices=("text", "json"), help="format of the log"),
    Flag("log-level", kind=TEXT, choices=("error", "warning", "info", "debug"), help="least severity that is logged"),
    Flag("debug", help="the same as --log-level debug, and tracebacks of internal errors"),
    Flag("systemd-cgroup", help="cgroups are made by systemd; cgroupsPath is slice:prefix:name"),
    Flag(
        "cgroup-manager",
        kind=TEXT,
        choices=("cgroupfs", "systemd", "disabled"),
        help="who makes cgroups (as crun has it; overrides --systemd-cgroup)",
    ),
    Flag(
        "rootless",
        kind=TEXT,
        default="auto",
        choices=("true", "false", "auto"),
        help="whether cgroups that may not be written are left alone",
    ),
    Flag("timings", help="print where the time of this call went to standard error"),
    Flag("trace", kind=TEXT, metavar="FILE", help="write it to FILE in the Trace Event format, which Perfetto opens"),
    Flag("version", "v", help="print the version"),
)

REGEX = Flag("regex", "r", help="CONTAINER is a regular expression: all whose id has a match (as crun has it)")
BUNDLE = Flag("bundle", "b", TEXT, metavar="DIR", default=".", help="directory of config.json")
CONFIG = Flag("config", "f", TEXT, metavar="FILE", help="read FILE in place of config.json (as crun has it)")
PID_FILE = Flag("pid-file", kind=TEXT, metavar="FILE", help="write the process id to FILE")
CONSOLE_SOCKET = Flag("console-socket", kind=TEXT, metavar="SOCKET", help="unix socket that gets the terminal's master")
PIDFD_SOCKET = Flag("pidfd-socket", kind=TEXT, metavar="SOCKET", help="unix socket that gets the process's pidfd")
PRESERVE_FDS = Flag(
    "preserve-fds", kind=NUMBER, metavar="N", default=0, help="pass N more descriptors, from 3 + $LISTEN_FDS on"
)
DETACH = Flag("detach", "d", help="do not wait for the process to end")

_CREATE = (
    BUNDLE,
    CONFIG,
    CONSOLE_SOCKET,
    PIDFD_SOCKET,
    PID_FILE,
    Flag("no-pivot", help="move the root mount in place of pivot_root(2), for a root file system on a ramdisk"),
    Flag("no-new-keyring", help="keep the session keyring of the caller"),
    PRESERVE_FDS,
)

_RUN = (
    *_CREATE,
    DETACH,
    Flag("keep", help="do not delete the container when its process ends"),
    Flag("no-subreaper", help="do not become the parent of the container's orphans"),
)

_EXEC = (
    Flag("process", "p", TEXT, metavar="FILE", help="read the process from FILE (JSON, as `process` of config.json)"),
    DETACH,
    Flag("tty", "t", help="give the process a terminal"),
    Flag("interactive", "i", help="has no effect: standard input is always passed", hidden=True),
    Flag("cwd", kind=TEXT, metavar="DIR", help="working directory in the container"),
    Flag("env", "e", TEXTS, metavar="NAME=VALUE", help="set an environment variable; repeatable"),
    Flag("user", "u", TEXT, metavar="UID[:GID]", help="user, and group, as numbers"),
    Flag("additional-gids", "g", NUMBERS, metavar="GID", help="add a group; repeatable"),
    Flag("cap", "c", TEXTS, metavar="CAP", help="add a capability; repeatable"),
    Flag("process-label", kind=TEXT, metavar="LABEL", help="SELinux label of the process"),
    Flag("apparmor", kind=TEXT, metavar="PROFILE", help="AppArmor profile of the process"),
    Flag("no-new-privs", help="set no_new_privs", default=None),
    Flag("cgroup", kind=TEXTS, metavar="[CONTROLLER:]PATH", help="cgroup below the container's; repeatable on v1"),
    Flag("ignore-paused", help="start the process in a paused container, too"),
    PID_FILE,
    CONSOLE_SOCKET,
    PIDFD_SOCKET,
    PRESERVE_FDS,
)

_UPDATE = (
    Flag("resources", "r", TEXT, metavar="FILE", help="read linux.resources from FILE, - is standard input"),
    Flag("blkio-weight", kind=TEXT, metavar="N", help="weight of block IO, 10 to 1000"),
    Flag("cpu-period", kind=TEXT, metavar="US", help="microseconds in which --cpu-quota counts"),
    Flag("cpu-quota", kind=TEXT, metavar="US", help="microseconds of CPU time in a period; -1 is unlimited"),
    Flag("cpu-burst", kind=TEXT, metavar="US", help="unused microseconds of quota that may be saved up"),
    Flag("cpu-share", kind=TEXT, metavar="N", help="weight against other containers, 2 to 262144"),
    Flag("cpu-rt-period", kind=TEXT, metavar="US", help="microseconds in which --cpu-rt-runtime counts"),
    Flag("cpu-rt-runtime", kind=TEXT, metavar="US", help="microseconds of realtime scheduling in a period"),
    Flag("cpu-idle", kind=TEXT, metavar="0|1", help="1: run only when the CPU has nothing else to do"),
    Flag("cpuset-cpus", kind=TEXT, metavar="LIST", help="CPUs to use, such as 0-3,7"),
    Flag("cpuset-mems", kind=TEXT, metavar="LIST", help="memory nodes to use"),
    Flag("kernel-memory", kind=TEXT, metavar="BYTES", help="has no effect", hidden=True),
    Flag("kernel-memory-tcp", kind=TEXT, metavar="BYTES", help="has no effect", hidden=True),
    Flag("memory", kind=TEXT, metavar="BYTES", help="memory, also 64M or 1.5G; -1 is unlimited"),
    Flag("memory-reservation", kind=TEXT, metavar="BYTES", help="memory that is kept when the host is short of it"),
    Flag("memory-swap", kind=TEXT, metavar="BYTES", help="memory and swap together; -1 is unlimited"),
    Flag("pids-limit", kind=TEXT, metavar="N", help="number of tasks; -1 is unlimited"),
    Flag("l3-cache-schema", kind=TEXT, metavar="SCHEMA", help="Intel RDT: schema of the L3 cache"),
    Flag("mem-bw-schema", kind=TEXT, metavar="SCHEMA", help="Intel RDT: schema of the memory bandwidth"),
)

_CRIU = (
    Flag("image-path", kind=TEXT, metavar="DIR", help="directory of the checkpoint's files [checkpoint]"),
    Flag("work-path", kind=TEXT, metavar="DIR", help="directory of criu's log [that of --image-path]"),
    Flag("tcp-established", help="allow open TCP connections"),
    Flag("ext-unix-sk", help="allow unix sockets whose other end is outside"),
    Flag("shell-job", help="allow a session or terminal whose leader is outside"),
    Flag("file-locks", help="allow file locks"),
    Flag("lazy-pages", help="serve memory page by page, by userfaultfd(2)"),
    Flag("auto-dedup", help="leave out pages that an older image has, or drop those that are restored"),
    Flag(
        "manage-cgroups-mode", kind=TEXT, metavar="MODE", help="of cgroups within: soft (default), full, strict, ignore"
    ),
    Flag(
        "empty-ns", kind=TEXTS, metavar="network", help="make the namespace, but leave it empty; always so for network"
    ),
)

_CHECKPOINT = (
    *_CRIU,
    Flag("parent-path", kind=TEXT, metavar="DIR", help="images of the pre-dump before, relative to --image-path"),
    Flag("pre-dump", help="save memory only, and go on running"),
    Flag("leave-running", help="do not stop and delete the container"),
    Flag("tcp-skip-in-flight", help="leave out TCP connections that are not established yet"),
    Flag("link-remap", help="give files that were unlinked a name again, where possible"),
    Flag("page-server", kind=TEXT, metavar="ADDRESS:PORT", help="send memory to a page server of criu"),
    Flag("status-fd", kind=NUMBER, metavar="FD", help="gets a zero byte when --lazy-pages is ready to serve"),
    Flag(
        "network-lock",
        kind=TEXT,
        choices=("iptables", "nftables", "skip"),
        help="how packets are kept out meanwhile (as crun has it)",
    ),
)

_RESTORE = (
    BUNDLE,
    *_CRIU,
    DETACH,
    PID_FILE,
    CONSOLE_SOCKET,
    Flag("no-pivot", help="has no effect: criu makes the root"),
    Flag("no-subreaper", help="do not become the parent of the container's orphans"),
    Flag("lsm-profile", kind=TEXT, metavar="TYPE:NAME", help="another AppArmor profile or SELinux label"),
    Flag("lsm-mount-context", kind=TEXT, metavar="LABEL", help="another SELinux label of mounts"),
    Flag("tcp-close", help="close the TCP connections of the checkpoint (as crun has it)"),
    PRESERVE_FDS,
)

_ROWS = (
    Command("create", _CREATE, help="create a container from a bundle"),
    Command("start", help="run the process of a created container"),
    Command("run", _RUN, help="create and start a container, and wait for its end"),
    Command("state", help="print the state of a container as JSON"),
    Command(
        "kill",
        (Flag("all", "a", help="send the signal to all processes; no error for a stopped container"), REGEX),
        (CONTAINER, "signal"),
        required=1,
        help="send a signal to the process of a container",
    ),
    Command(
        "delete",
        (Flag("force", "f", help="kill the container first; no error when it does not exist"), REGEX),
        help="remove what is left of a container",
    ),
    Command("exec", _EXEC, tail="COMMAND [ARG...]", help="run another process in a container"),
    Command(
        "ps",
        (Flag("format", "f", TEXT, default="table", choices=("table", "json"), help="format of the output"),),
        tail="PS-OPTION...",
        help="print the processes of a container; further words are options of ps(1)",
    ),
    Command(
        "events",
        (
            Flag(
                "interval", kind=TEXT, metavar="TIME", default="5s", help="time between statistics, such as 5s or 100ms"
            ),
            Flag("stats", help="print the statistics once"),
        ),
        help="print statistics, and when memory was short, as lines of JSON until the container stops",
    ),
    Command("pause", help="stop all processes of a container where they are"),
    Command("resume", help="let the processes of a paused container go on"),
    Command("checkpoint", _CHECKPOINT, help="save the processes of a container to files, by the program criu"),
    Command("restore", _RESTORE, help="make a container from the files of a checkpoint, and wait for its end"),
    Command("update", _UPDATE, help="change the limits of a container; what is not named stays"),
    Command(
        "mounts",
        (),
        ("action", CONTAINER, "file"),
        help="add the mounts of FILE (a JSON array as in config.json) to a container, or remove them (as crun has it)",
    ),
    Command(
        "list",
        (
            Flag("format", "f", TEXT, default="table", choices=("table", "json"), help="format of the output"),
            Flag("quiet", "q", help="print the ids only"),
        ),
        (),
        help="list the containers of --root",
    ),
    Command(
        "spec",
        (
            BUNDLE,
            Flag("rootless", help="a config.json for an ordinary user"),
            Flag("file", "f", TEXT, metavar="FILE", default="config.json", help="file to write (as crun has it)"),
        ),
        (),
        help="write a config.json to start from",
    ),
    Command(
        "plan",
        (BUNDLE, CONFIG, Flag("json", help="print JSON")),
        (),
        help="print the syscalls that create would make; touches nothing",
    ),
    Command(
        "validate",
        (
            Flag("bundle", "b", TEXT, metavar="DIR", default=".", help="directory of config.json; - is standard input"),
            CONFIG,
            Flag("host", help="find also what this kernel, this user and these cgroups cannot do"),
            Flag("json", help="print JSON"),
        ),
        (),
        tail="FILE...",
        help="print all that is wrong with a config.json, or with FILEs, and what to write instead; touches nothing",
    ),
    Command("features", (), (), help="print what this version can do, as JSON"),
    Command("version", (), (), help="print the version"),
    Command("help", (), ("topic",), required=0, module="", help="explain a command"),
    Command("completion", (), ("shell",), module="", help="print the completion script for bash, zsh or fish"),
)

COMMANDS = {row.name: row for row in _ROWS}
