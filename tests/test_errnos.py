# SPDX-License-Identifier: Apache-2.0
"""linux/errnos.py: words that engines match, names that people know."""

import errno

import pytest

from pyrunc.linux import errnos


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.ENOENT, "no such file or directory"),
        (errno.EACCES, "permission denied"),
        (errno.ENOTDIR, "not a directory"),
        (errno.EISDIR, "is a directory"),
        (errno.EPERM, "operation not permitted"),
        (errno.ENOEXEC, "exec format error"),
        (errno.EMULTIHOP, "multihop attempted"),
        (errno.ELIBSCN, ".lib section in a.out corrupted"),
    ],
)
def test_texts_begin_in_lower_case(number: int, text: str) -> None:
    """Docker's table is in lower case (contracts.md 1.4)."""
    assert errnos.text(number) == text


def test_names_are_the_usual_ones() -> None:
    assert errnos.name(errno.EWOULDBLOCK) == "EAGAIN"
    assert errnos.name(errno.ENOTSUP) == "EOPNOTSUPP"
    assert errnos.name(errno.EDEADLOCK) == "EDEADLK"
    assert errnos.name(errno.ENOENT) == "ENOENT"
    assert errnos.name(524) == "ENOTSUPP"
    assert errnos.name(9999) == "9999"
    assert errnos.name(None) == "no errno"
