"""What tests of several packages share: whole experiments into a temporary folder, and what a machine may lack."""

from __future__ import annotations

import importlib.util
import json
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from byzantiny.experiment import evaluating, rundir
from byzantiny.experiment.config import Experiment, parse_experiment
from byzantiny.experiment.engine import Engine
from byzantiny.experiment.events import Event
from byzantiny.records import Final
from byzantiny.transport.brokers import find_mosquitto
from byzantiny_models.evaluation import opened_interpreter

# How long an example takes says how busy the machine is, and nothing about the code: speed is for benchmarks/.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

# A shell that runs the suite in the background has it ignore Ctrl-C, and what the tests start would, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass
class Outcome:
    """A run directory, read as anybody would: from its files."""

    path: Path
    experiment: Experiment
    events: list[Event]
    finals: list[Final]

    def folder(self, arm: str = "main", seed: int = 1) -> Path:
        return rundir.arm_dir(self.path, arm, seed)

    def rows(self, table: str = "rounds", arm: str = "main", seed: int = 1) -> list[dict[str, Any]]:
        lines = (self.folder(arm, seed) / f"{table}.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def models(self, arm: str = "main", seed: int = 1) -> list[str]:
        """The SHA-256 of the global model after every round."""
        return [row["model_sha256"] for row in self.rows(arm=arm, seed=seed)]


def run_experiment(table: Mapping[str, Any], path: Path, **engine: Any) -> Outcome:
    """Run a table into a new folder; `engine` are Engine's fields."""
    experiment = parse_experiment(table)
    rundir.create(path.parent, path.name, experiment)
    events: list[Event] = []
    finals = Engine(events.append, **engine).run(experiment, path)
    return Outcome(path, experiment, events, finals)


@pytest.fixture(scope="session", autouse=True)
def numpy_answers_unless_asked() -> Iterator[None]:
    """Start another interpreter's process only where a test names one: hundreds of small runs would each wait for it."""

    def opened(package: str | None = None, arithmetic: Any = None) -> Any:
        return opened_interpreter("numpy" if package is None else package, arithmetic)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(evaluating, "opened_interpreter", opened)
        yield


@pytest.fixture(scope="session")
def digits() -> None:
    """Skip where the task's data set is not installed."""
    if importlib.util.find_spec("sklearn") is None:
        pytest.skip("the task `digits` needs scikit-learn, which is not installed")


@pytest.fixture(scope="session")
def run_in(digits: None) -> Callable[..., Outcome]:
    """Run an experiment into a folder that does not exist yet: `run_in(table, path, **engine)`."""
    return run_experiment


@pytest.fixture
def run(tmp_path: Path, digits: None) -> Callable[..., Outcome]:
    """Run an experiment: `run(table, name="run", **engine)`."""
    return lambda table, name="run", **engine: run_experiment(table, tmp_path / name, **engine)


@pytest.fixture(scope="session")
def mosquitto() -> str:
    program = find_mosquitto()
    return program or pytest.skip("mosquitto is not installed (apt install mosquitto)")


@pytest.fixture(scope="session")
def unicorn() -> None:
    if importlib.util.find_spec("unicorn") is None or importlib.util.find_spec("elftools") is None:
        pytest.skip("emulated boards need the extra `emulator` (unicorn, pyelftools), which is not installed")


@pytest.fixture(scope="session")
def qemu() -> str:
    return shutil.which("qemu-system-arm") or pytest.skip(
        "qemu-system-arm is not installed (apt install qemu-system-arm)"
    )


@pytest.fixture(scope="session")
def data_makers() -> Mapping[str, Callable[..., Path]]:
    """What writes a small data set of a task in its real format, by the task's name (own_data.py)."""
    spec = importlib.util.spec_from_file_location("own_data", Path(__file__).parent / "own_data.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    makers: Mapping[str, Callable[..., Path]] = module.MAKERS
    return makers


@pytest.fixture
def own_data(tmp_path: Path, data_makers: Mapping[str, Callable[..., Path]]) -> Callable[..., Path]:
    """Write a small data set of a task and return its path."""

    def make(task: str, name: str = "data", **changes: Any) -> Path:
        (tmp_path / name).mkdir()
        return data_makers[task](tmp_path / name, **changes)

    return make
