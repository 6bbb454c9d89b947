"""pytest plugin: `--board NAME` runs tests on boards of the map; the fixture `board` is one of them, open.

    pytest --board bench-m4 --board bench-m0             # no paths: the conformance set, and nothing else
    pytest --board bench-m4 tests/test_mine.py           # tests of one's own

Without `--board` it is the emulated board that comes with byzantiny: the same tests, nothing to plug in. This module is
loaded by every pytest run where byzantiny is installed, so it imports the rest only when a board is asked for.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from byzantiny_hil.device import Board

pytest.register_assert_rewrite("byzantiny_hil.conformance")

DEFAULT: Final = "emulated-m4f"
PARAMETER: Final = "byzantiny_board_name"
CONFORMANCE: Final = Path(__file__).parent / "conformance"
LOGS: Final = pytest.StashKey[dict[str, Path]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("byzantiny", "byzantiny boards")
    group.addoption(
        "--board", action="append", metavar="NAME", help=f"a board of boards.toml; repeatable (default: {DEFAULT})"
    )
    group.addoption("--boards", type=Path, metavar="FILE", help="the map of boards (default: see docs/hil.md)")
    group.addoption(
        "--board-logdir",
        type=Path,
        metavar="DIR",
        help="where each board's frames are logged (default: a temporary one)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Check the names before anything runs."""
    config.stash[LOGS] = {}
    if not config.option.board and config.option.boards is None:
        return
    from byzantiny_hil.boardmap import load_map
    from byzantiny_hil.errors import HilError

    try:
        boards = load_map(config.option.boards)
        for name in config.option.board or ():
            boards.find(name)
    except HilError as error:
        raise pytest.UsageError(str(error)) from error
    if _is_conformance_run(config):
        config.args[:] = [str(path) for path in sorted(CONFORMANCE.glob("test_*.py"))]


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say why the tests of the folder are not run."""
    return "boards: no paths given, so this is the conformance set" if _is_conformance_run(config) else None


def _is_conformance_run(config: pytest.Config) -> bool:
    """Whether boards were named and paths were not."""
    return bool(config.option.board) and config.args_source is not pytest.Config.ArgsSource.ARGS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses `board` once for each board."""
    if PARAMETER in metafunc.fixturenames:
        names = list(dict.fromkeys(metafunc.config.option.board or [DEFAULT]))
        metafunc.parametrize(PARAMETER, names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def byzantiny_board_name(request: pytest.FixtureRequest) -> str:
    """The name of the board that `board` opens."""
    return str(request.param)


@pytest.fixture(scope="session")
def board(
    byzantiny_board_name: str, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Board]:
    """An open board of the map (`byzantiny_hil.device.Board`), for the whole session; its frames are logged."""
    from byzantiny.errors import ByzantinyError
    from byzantiny_firmware.unicorn import unavailable_reason
    from byzantiny_hil.board import open_mapped
    from byzantiny_hil.boardmap import PACKAGED, Emulated, load_map

    asked = pytestconfig.option.board
    logdir = pytestconfig.option.board_logdir or tmp_path_factory.mktemp("boards")
    pytestconfig.stash[LOGS][byzantiny_board_name] = logdir / f"{byzantiny_board_name}.log"
    try:
        mapped = load_map(pytestconfig.option.boards if asked else PACKAGED).find(byzantiny_board_name)
        missing = unavailable_reason() if isinstance(mapped.entry, Emulated) else None
        if missing and not asked:
            pytest.skip(f"there is no emulated board here: {missing}; or name a real one with --board")
        opened = open_mapped(mapped, logdir=logdir)
    except ByzantinyError as error:
        pytest.fail(str(error), pytrace=False)
    with opened:
        yield opened


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say where the frames are when a test on a board fails."""
    report = yield
    callspec = getattr(item, "callspec", None)
    name = callspec.params.get(PARAMETER) if callspec is not None else None
    if name is not None and report.failed:
        path = item.config.stash[LOGS].get(name)
        if path is not None and path.exists():
            report.sections.append((f"frames of board {name}", f"{path} ({call.when} failed)"))
    return report
