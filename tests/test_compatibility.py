# SPDX-License-Identifier: Apache-2.0
"""The table of engines and runtimes says what the reports say, and nothing of what did not run."""

from pathlib import Path

from tests.bed import compare
from tests.vm.compatibility import ENGINES, engine_of, read, text

REPORT = """<testsuites><testsuite>
<testcase classname="tests.vm.test_docker_lifecycle" name="test_run_detached"/>
<testcase classname="tests.vm.test_docker_limits" name="test_ulimit">{failure}</testcase>
<testcase classname="tests.vm.test_podman_containers" name="test_exec[rootless]"><skipped message="no"/></testcase>
<testcase classname="tests.test_other" name="test_nothing"/>
</testsuite></testsuites>"""


def test_a_cell_is_a_test_that_ran(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(REPORT.format(failure=""))
    (tmp_path / "b.xml").write_text(REPORT.format(failure="<failure/>"))
    table = read([("pyrunc", str(tmp_path / "a.xml")), ("runc", str(tmp_path / "b.xml"))])
    assert table == {
        "Docker": {"run detached": {"pyrunc": "yes", "runc": "yes"}, "ulimit": {"pyrunc": "yes", "runc": "**no**"}}
    }
    lines = text(table, ["pyrunc", "runc", "crun"], "a machine").splitlines()
    assert "a machine." in lines
    assert "| ulimit | yes | **no** |  |" in lines
    assert "| *of these* | 2 of 2 | 1 of 2 | 0 of 0 |" in lines


def test_the_later_report_counts(tmp_path: Path) -> None:
    for name, failure in (("a", "<error/>"), ("b", "")):
        (tmp_path / f"{name}.xml").write_text(REPORT.format(failure=failure))
    for order, word in (("ab", "yes"), ("ba", "**no**")):
        table = read([("runc", str(tmp_path / f"{name}.xml")) for name in order])
        assert table["Docker"]["ulimit"]["runc"] == word


def test_an_error_after_a_test_is_its_failure(tmp_path: Path) -> None:
    """Pytest writes the error of a tear-down as a second row of the test."""
    row = '<testcase classname="tests.vm.test_docker_x" name="test_x">{}</testcase>'
    for first, second in (("", "<error/>"), ("<error/>", "")):
        (tmp_path / "a.xml").write_text(f"<testsuite>{row.format(first)}{row.format(second)}</testsuite>")
        assert read([("crun", str(tmp_path / "a.xml"))]) == {"Docker": {"x": {"crun": "**no**"}}}


def test_every_engine_is_compared_and_nothing_else() -> None:
    files = compare._engines()
    assert "tests/vm/test_docker_lifecycle.py" in files
    assert "tests/vm/test_systemd_user.py" not in files
    assert {engine_of(Path(file).stem) for file in files} == set(ENGINES.values())
