# SPDX-License-Identifier: Apache-2.0
"""One verb, one file: `run(settings, values)` does it and gives the exit status."""

import errno
import posix

from pyrunc.errors import PyruncError


class OutputClosedError(Exception):
    """The reader of standard output is gone (EPIPE)."""


def output(text: str) -> None:
    """Write `text` to standard output as UTF-8; a file name that is not UTF-8 comes out as it is.

    Not by sys.stdout: its encoding is the locale's, and its buffer reports a closed pipe only at exit.
    """
    rest = text.encode("utf-8", "surrogateescape")
    while rest:
        try:
            rest = rest[posix.write(1, rest) :]
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise OutputClosedError from None
            from pyrunc.linux.errnos import reason

            raise PyruncError(f"cannot write to standard output: {reason(error.errno)}") from None
