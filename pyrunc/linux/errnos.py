# SPDX-License-Identifier: Apache-2.0
"""Error numbers in words, in two ways, as engines search an error for words of strerror(3).

text(ENOENT) is "no such file or directory", only where the user's program is at fault (ExecError): podman and Docker
make the exit status 127 or 126 of these words. reason(ENOENT) is "not there (ENOENT)", everywhere else: a missing mount
source would be "command not found".
"""

import posix
from errno import EACCES, EISDIR, ENOENT, ENOTDIR, EPERM, errorcode

_NAMES = {11: "EAGAIN", 35: "EDEADLK", 95: "EOPNOTSUPP", 512: "ERESTARTSYS", 524: "ENOTSUPP"}
"""Where errno has two names for one number, the usual one; and two of the kernel's own that it lets out."""

_OTHER_WORDS = {
    ENOENT: "not there",
    ENOTDIR: "no directory",
    EISDIR: "a directory, no file",
    EACCES: "not allowed",
    EPERM: "not allowed",
    524: "not supported",
}
"""In place of the words that podman and Docker search for (contracts: moby daemon/errors.go, podman oci_util.go)."""


def text(number: int) -> str:
    """The text of strerror(3), its first letter small: docker takes "No such file or directory" for another error."""
    words = posix.strerror(number)
    return words if words[1:2].isupper() else words[:1].lower() + words[1:]


def reason(number: int | None) -> str:
    """What an errno means, and its name, without the words that engines take for the fate of the user's program."""
    return f"{_OTHER_WORDS.get(number or 0) or text(number or 0)} ({name(number)})"


def name(number: int | None) -> str:
    """The name, as ENOENT; the number itself where it has none."""
    if number is None:
        return "no errno"
    return _NAMES.get(number) or errorcode.get(number) or str(number)
