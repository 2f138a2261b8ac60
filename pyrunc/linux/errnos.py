# SPDX-License-Identifier: Apache-2.0
"""Error numbers in words: engines match them in lower case ("no such file or directory"), people know their names."""

import posix
from errno import errorcode

_NAMES = {11: "EAGAIN", 35: "EDEADLK", 95: "EOPNOTSUPP", 512: "ERESTARTSYS", 524: "ENOTSUPP"}
"""Where errno has two names for one number, the usual one; and two of the kernel's own that it lets out."""


def text(number: int) -> str:
    """The text of strerror(3), its first letter small: docker takes "No such file or directory" for another error."""
    words = posix.strerror(number)
    return words if words[1:2].isupper() else words[:1].lower() + words[1:]


def name(number: int | None) -> str:
    """The name, as ENOENT; the number itself where it has none."""
    if number is None:
        return "no errno"
    return _NAMES.get(number) or errorcode.get(number) or str(number)
