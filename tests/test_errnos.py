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


@pytest.mark.parametrize("number", [*errno.errorcode, 512, 524, 9999])
def test_reasons_have_a_name_and_no_word_that_engines_search_for(number: int) -> None:
    """Docker: daemon/errors.go of moby; podman: oci_util.go (contracts.md 1.4)."""
    reason = errnos.reason(number)
    assert reason.endswith(f" ({errnos.name(number)})")
    for words in ("no such file", "permission denied", "operation not permitted", "is a dir", "not a dir"):
        assert words not in reason.lower()


def test_a_reason() -> None:
    assert errnos.reason(errno.ENOENT) == "not there (ENOENT)"
    assert errnos.reason(errno.EBUSY) == "device or resource busy (EBUSY)"


def test_names_are_the_usual_ones() -> None:
    assert errnos.name(errno.EWOULDBLOCK) == "EAGAIN"
    assert errnos.name(errno.ENOTSUP) == "EOPNOTSUPP"
    assert errnos.name(errno.EDEADLOCK) == "EDEADLK"
    assert errnos.name(errno.ENOENT) == "ENOENT"
    assert errnos.name(524) == "ENOTSUPP"
    assert errnos.name(9999) == "9999"
    assert errnos.name(None) == "no errno"
