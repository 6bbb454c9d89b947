"""The pytest plugin, run in a pytest of its own: which boards a test meets, and what a failure says."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from byzantiny_firmware.unicorn import unavailable_reason
from byzantiny_hil import check, rounds  # noqa: F401 - imported before the inner runs, which forget what they import

from .fake_board import FakeBoard, spec_of, write_map

pytest_plugins = ["pytester"]
needs_unicorn = pytest.mark.skipif(unavailable_reason() is not None, reason=unavailable_reason() or "")

TEST = """
def test_it(board):
    assert board.ping() < 1
    print("met", board.hello.device_id)
"""


def two_boards(folder: Path, first: FakeBoard, second: FakeBoard) -> Path:
    path = write_map(folder, first.url, first.spec, "left")
    left = path.read_text()
    write_map(folder, second.url, second.spec, "right")
    path.write_text(left + path.read_text())
    return path


def test_a_test_runs_on_every_board_named(pytester: pytest.Pytester, tmp_path: Path) -> None:
    mine = pytester.makepyfile(TEST)
    with FakeBoard(spec_of("lab-01")) as first, FakeBoard(spec_of("lab-02")) as second:
        path = two_boards(tmp_path, first, second)
        result = pytester.runpytest_inprocess(
            "--boards", path, "--board", "left", "--board", "right", "--board", "left", "-s", mine
        )
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*met lab-01*", "*met lab-02*"])
    assert (first.connections, second.connections) == (1, 1)


def test_a_board_that_is_not_in_the_map_ends_the_run_before_it_starts(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TEST)
    result = pytester.runpytest_inprocess("--board", "emulated-m4")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*unknown board `emulated-m4`; did you mean `emulated-m4f`?"])


def test_a_failure_says_where_the_frames_are(pytester: pytest.Pytester, tmp_path: Path) -> None:
    mine = pytester.makepyfile("def test_it(board):\n    assert board.ping() < 0\n")
    with FakeBoard() as fake:
        path = write_map(tmp_path, fake.url, fake.spec)
        result = pytester.runpytest_inprocess(
            "--boards", path, "--board", "bench", "--board-logdir", tmp_path / "logs", mine
        )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*frames of board bench*", f"*{tmp_path / 'logs' / 'bench.log'}*"])
    assert "PING" in (tmp_path / "logs" / "bench.log").read_text()


def test_a_board_that_cannot_be_opened_fails_with_one_sentence(pytester: pytest.Pytester, tmp_path: Path) -> None:
    mine = pytester.makepyfile(TEST)
    path = write_map(tmp_path, "/dev/serial/by-id/usb-nothing", spec_of())
    result = pytester.runpytest_inprocess("--boards", path, "--board", "bench", mine)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*there is no port /dev/serial/by-id/usb-nothing; plug the board in*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_board_fixture_of_somebody_else_is_left_alone(pytester: pytest.Pytester) -> None:
    mine = pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def board():
            return "chess"

        def test_it(board):
            assert board == "chess"
        """
    )
    pytester.runpytest_inprocess("--board", "emulated-m4f", mine).assert_outcomes(passed=1)


def test_without_an_emulator_and_without_a_name_the_tests_skip_with_a_sentence(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = pytester.makepyfile(TEST)
    monkeypatch.setattr("byzantiny_firmware.unicorn.unavailable_reason", lambda: "the package unicorn is not installed")
    result = pytester.runpytest_inprocess("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*there is no emulated board here: the package unicorn is not installed*"])
    pytester.runpytest_inprocess("--board", "emulated-m4f", mine).assert_outcomes(errors=1)


@needs_unicorn
def test_without_a_name_it_is_the_emulated_board_whatever_map_is_here(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TEST)
    pytester.path.joinpath("boards.toml").write_text('[boards.other]\nkind = "unicorn"\n')
    pytester.runpytest_inprocess().assert_outcomes(passed=1)


@needs_unicorn
def test_a_name_and_no_paths_is_the_conformance_set_and_nothing_else() -> None:
    """In the checkout, where `testpaths` would otherwise be the whole suite."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "pytest", "--board", "emulated-m4f", "-q", "-p", "no:cacheprovider"]
    began = time.monotonic()
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\n18 passed in " in done.stdout
    assert time.monotonic() - began < 30


@needs_unicorn
def test_a_name_and_no_paths_is_the_conformance_set_in_any_folder(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_mine(): raise AssertionError")
    result = pytester.runpytest_inprocess("--board", "emulated-m4f")
    result.assert_outcomes(passed=18)
    result.stdout.fnmatch_lines(["boards: no paths given, so this is the conformance set"])


@needs_unicorn
def test_the_conformance_set_runs_from_the_installed_package_on_a_wired_board(
    pytester: pytest.Pytester, tmp_path: Path
) -> None:
    from byzantiny_firmware.unicorn import start_board

    with start_board(spec_of(), "m3") as handle:
        path = write_map(tmp_path, handle.url, handle.spec)
        result = pytester.runpytest_inprocess(
            "--boards", path, "--board", "bench", "-rs", "--pyargs", "byzantiny_hil.conformance"
        )
    assert result.parseoutcomes() == {"passed": 17, "skipped": 1}
    result.stdout.fnmatch_lines(["*bench cannot be power-cycled from here*"])


def test_the_set_finds_what_a_board_does_wrong(pytester: pytest.Pytester, tmp_path: Path) -> None:
    with FakeBoard() as fake:  # it does not count what is no COBS, and one label in its flash is another
        path = write_map(tmp_path, fake.url, fake.spec)
        (tmp_path / "bench.dataset").write_bytes(fake.spec.dataset[:-1] + bytes([fake.spec.dataset[-1] ^ 1]))
        result = pytester.runpytest_inprocess(
            "--boards", path, "--board", "bench", "--pyargs", "byzantiny_hil.conformance"
        )
    failed = {line.split("::")[1].split(" ")[0] for line in result.outlines if line.startswith("FAILED")}
    assert failed == {
        "test_hello_names_the_data_that_the_map_names[bench]",
        "test_the_codes_of_a_round_are_numpys_bytes[bench]",
        "test_a_damaged_frame_is_counted_under_its_name_and_never_answered[bench-cobs]",
    }
