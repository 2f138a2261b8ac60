# SPDX-License-Identifier: Apache-2.0
"""The journal reads back as written, whatever the values, and bears a line that was never finished."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyrunc.state import journal, store


@pytest.fixture
def entry(tmp_path: Path) -> Iterator[store.Entry]:
    entry = store.claim(str(tmp_path / "root"), "box")
    yield entry
    entry.close()


def test_notes_come_back_in_order(entry: store.Entry) -> None:
    journal.note(entry, journal.CGROUP, "/sys/fs/cgroup/a b")
    journal.note(entry, journal.PROCESS, "4711 99")
    journal.note(entry, journal.CGROUP, "/sys/fs/cgroup/a b")
    assert journal.notes(entry) == [
        ("cgroup", "/sys/fs/cgroup/a b"),
        ("process", "4711 99"),
        ("cgroup", "/sys/fs/cgroup/a b"),
    ]
    assert journal.values(entry, "cgroup") == ["/sys/fs/cgroup/a b"]


def test_no_journal_has_no_notes(entry: store.Entry) -> None:
    assert journal.notes(entry) == []


@given(value=st.text(st.characters(exclude_categories=[]) | st.sampled_from("%;\n /\0"), max_size=20))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_value_reads_back(entry: store.Entry, value: str) -> None:
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return
    value = value.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    entry.discard(store.JOURNAL)
    journal.note(entry, "mount", value)
    assert journal.notes(entry) == [("mount", value)]


def test_a_torn_line_is_left_out_wherever_it_ends(entry: store.Entry) -> None:
    """A cut path is the path of something else: it must never be taken for a note."""
    journal.note(entry, "cgroup", "/sys/fs/cgroup/pod/a;b%")
    whole = entry.read(store.JOURNAL)
    for end in range(len(whole)):
        entry.write(store.JOURNAL, whole[:end])
        assert journal.notes(entry) == []
        journal.note(entry, "process", "5 6")
        assert journal.notes(entry) == [("process", "5 6")]
