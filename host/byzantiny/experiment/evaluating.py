"""What a run measures of its global models: one evaluator a run, one plan an arm and seed (docs/metrics.md)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from byzantiny.experiment.cast import Cast, chosen_of, make_attack
from byzantiny.experiment.config import ConfigError, Experiment, RunConfig
from byzantiny.records import AxisScore, Evaluated, LastEvaluation
from byzantiny_models.deploy.model_file import ModelFileError
from byzantiny_models.deploy.runtimes import RuntimeMissingError
from byzantiny_models.deploy.template import Template, load_template
from byzantiny_models.errors import InvalidValueError, MissingDependencyError
from byzantiny_models.evaluation import (
    Evaluation,
    Interpreter,
    Probes,
    client_scores,
    evaluate,
    opened_interpreter,
    score_axes,
    scores_of,
    tails,
)
from byzantiny_models.evaluation.scores import check_probes, exported_answers, integer_answers
from byzantiny_models.networks import Network
from byzantiny_models.tasks import Task

Model = npt.NDArray[np.int32]
Evaluate = Callable[[int, Model], Evaluated]


@dataclass(frozen=True)
class Deployed:
    """How one arm's exported model is run."""

    template: Template
    interpreter: Interpreter


@contextmanager
def opened_deployed(
    experiment: Experiment, network: Network, notice: Callable[[str], None]
) -> Iterator[Mapping[str, Deployed | None]]:
    """Yield by arm who answers for its exported models; arms that ask for the same share a process.

    Raises:
        ConfigError: an arm insists on a template or an interpreter that is not there.
    """
    found: dict[str, Deployed | None] = {}
    opened: dict[tuple[str, str], Interpreter] = {}
    with ExitStack() as stack:
        for arm, run in experiment.arms.items():
            asked = run.evaluation
            template = None if asked.deployed is False else _template(arm, run, network, notice)
            if template is None:
                found[arm] = None
                continue
            key = (asked.interpreter, asked.arithmetic)
            if key not in opened:
                opened[key] = stack.enter_context(_interpreter(run))
            found[arm] = Deployed(template, opened[key])
        yield found


def probes_of(run: RunConfig, seed: int, task: Task) -> Probes | None:
    """Return what an arm's attack is measured by; None where nobody attacks, or the attack wants nothing in particular.

    Raises:
        ConfigError: probes that are no questions to the task's network.
    """
    attack = make_attack(run)
    offered = chosen_of(attack, seed, task) if run.attack.byzantine else None
    if offered is None:
        return None
    try:
        probes = Probes(*offered)
        check_probes(task.network, probes)
    except InvalidValueError as error:
        raise ConfigError(f"attack {run.attack.name} on task {task.name}: {error}") from error
    return probes if len(probes) else None


@dataclass(frozen=True)
class Evaluator:
    """Evaluates the models of one arm and seed; `floors` are the probes of attacked arms, for an arm that is left alone."""

    run: RunConfig
    task: Task
    network: Network
    cast: Cast
    deployed: Deployed | None
    probes: Probes | None
    floors: Mapping[str, Probes]
    first_model: Model
    """Before round 1, and before anybody poisoned it."""

    def __call__(self, round_num: int, model: Model) -> Evaluated:
        """Return what the model after a round is worth; nothing in rounds without an evaluation.

        Raises:
            RuntimeMissingError: the interpreter's process ended; the round stays open.
        """
        last = round_num == self.run.rounds
        if round_num % self.run.evaluation.every_rounds and not last:
            return Evaluated()
        started = time.perf_counter()
        template = None if self.deployed is None else self.deployed.template
        interpreter = None if self.deployed is None else self.deployed.interpreter
        try:
            found = evaluate(
                self.task, self.network, model, template=template, interpreter=interpreter, probes=self.probes
            )
            clients = self._clients(model)
            details = self._last(model, found, clients) if last else None
        except RuntimeMissingError as error:
            raise RuntimeMissingError(
                f"{error}; round {round_num} stays open and nothing is lost: go on with `byzantiny resume`"
            ) from error
        milliseconds = round((time.perf_counter() - started) * 1000, 3)
        scored, fields = _scores(found, interpreter), _tails(clients, self.cast.byzantine)
        return msgspec.structs.replace(scored, **fields, evaluation_ms=milliseconds, last=details)

    def _clients(self, model: Model) -> dict[str, float]:
        if not self.run.evaluation.per_client:
            return {}
        shares = {role.client_id: role.share for role in self.cast.roles}
        held = {client_id: share.indices for client_id, share in shares.items()}
        drifts = {client_id: share.drift for client_id, share in shares.items() if share.drift is not None}
        return client_scores(self.task, self.network, model, held, drifts)

    def _last(self, model: Model, found: Evaluation, clients: dict[str, float]) -> LastEvaluation:
        return LastEvaluation(
            confusion=[list(row) for row in found.confusion],
            clients=clients,
            axes=self._axes(model),
            asr_initial=self._asr_initial(),
            asr_of=self._asr_of(model),
        )

    def _axes(self, model: Model) -> list[AxisScore]:
        asked, deployed = self.run.evaluation, self.deployed
        rows = score_axes(
            self.task,
            self.network,
            model,
            asked.bits,
            asked.arithmetics,
            template=None if deployed is None else deployed.template,
            interpreter=None if deployed is None else deployed.interpreter,
            probes=self.probes,
        )
        return [
            AxisScore(
                bits=row.bits,
                arithmetic=row.arithmetic,
                weight_bytes=row.weight_bytes,
                accuracy=row.scores.score,
                asr=row.scores.asr,
            )
            for row in rows
        ]

    def _asr_initial(self) -> float | None:
        if self.probes is None:
            return None
        return scores_of(self.task, integer_answers(self.network, self.first_model), self.probes).asr

    def _asr_of(self, model: Model) -> dict[str, float]:
        answers = integer_answers(self.network, model)
        if self.deployed is not None:
            answers = exported_answers(self.network, model, self.deployed.template, self.deployed.interpreter)
        rates = {arm: scores_of(self.task, answers, probes).asr for arm, probes in self.floors.items()}
        return {arm: rate for arm, rate in rates.items() if rate is not None}


def make_evaluator(
    experiment: Experiment, arm: str, seed: int, task: Task, cast: Cast, deployed: Deployed | None, first_model: Model
) -> Evaluator:
    """Return the evaluator of one arm and seed; an arm that nobody attacks takes the others' probes for their floor."""
    run = experiment.arms[arm]
    floors: dict[str, Probes] = {}
    if not cast.byzantine:
        offered = {name: probes_of(other, seed, task) for name, other in experiment.arms.items()}
        floors = {name: probes for name, probes in offered.items() if probes is not None}
    return Evaluator(run, task, task.network, cast, deployed, probes_of(run, seed, task), floors, first_model)


def _template(arm: str, run: RunConfig, network: Network, notice: Callable[[str], None]) -> Template | None:
    try:
        return load_template(network.name)
    except (ModelFileError, MissingDependencyError) as error:
        if run.evaluation.deployed is True or run.evaluation.arithmetics:
            raise ConfigError(f"arms.{arm}: evaluation.deployed: {error}") from error
        notice(f"arms.{arm}: the exported model is not evaluated: {error}")
        return None


def _interpreter(run: RunConfig) -> AbstractContextManager[Interpreter]:
    asked = run.evaluation
    return opened_interpreter(
        None if asked.interpreter == "auto" else asked.interpreter,
        None if asked.arithmetic == "auto" else asked.arithmetic,
    )


def _scores(found: Evaluation, interpreter: Interpreter | None) -> Evaluated:
    float32, exported = found.float32, found.exported
    return Evaluated(
        accuracy=found.integer.score,
        accuracy_float=None if float32 is None else float32.score,
        accuracy_exported=None if exported is None else exported.score,
        interpreter="" if interpreter is None else interpreter.title,
        arithmetic="" if interpreter is None else interpreter.arithmetic or "unknown",
        asr=found.integer.asr,
        asr_float=None if float32 is None else float32.asr,
        asr_exported=None if exported is None else exported.asr,
        asr_confidence=found.deployed.confidence,
        recall=list(found.recall),
    )


def _tails(clients: Mapping[str, float], byzantine: list[str]) -> dict[str, float]:
    fields: dict[str, float] = {}
    strata: dict[str, list[str]] = {"clients": [], "honest": byzantine}
    for stratum, left_out in strata.items():
        tail = tails(clients, left_out)
        if tail is not None:
            fields |= {f"{stratum}_mean": tail.mean, f"{stratum}_p10": tail.p10, f"{stratum}_min": tail.worst}
    return fields
