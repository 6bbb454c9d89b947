"""The files of a run directory, as strict records: what an experiment writes and a report reads.

    runs/<run_id>/
      manifest.json                      Manifest: who, what, where
      experiment.json                    the resolved config
      arms/<arm>/seed-<seed>/
        ledger.sqlite                    the truth
        rounds.jsonl                     RoundRow, one line a round (exported from the ledger)
        clients.jsonl                    ClientRow, one line a client and round
        final.json                       Final
      report.html                        written from these files, never from live objects

An unknown or missing field fails the load. A new field gets a default and the schema's number stays; any other change
gets a new number.
"""

from __future__ import annotations

from typing import Any

import msgspec


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A strict, frozen record."""

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain data."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


class AxisScore(_Record, frozen=True, kw_only=True):
    """The last round's model with weights of `bits` bits, answered in one arithmetic."""

    bits: int
    arithmetic: str
    weight_bytes: int
    """Modelled: kernels packed at so many bits, biases int32. A `.tflite` keeps every weight in a byte."""
    accuracy: float
    asr: float | None = None


class LastEvaluation(_Record, frozen=True, kw_only=True):
    """What is measured of an arm's last model alone."""

    confusion: list[list[int]] = []
    """Test samples by true class (rows) and answer (columns), of the deployed model."""
    clients: dict[str, float] = {}
    """The integer model on each client's own samples."""
    axes: list[AxisScore] = []
    asr_initial: float | None = None
    """Of the run's first model on this arm's probes, integers: the floor where no arm is left alone."""
    asr_of: dict[str, float] = {}
    """In an arm that nobody attacks: the rate of its last model on the probes of each arm that has some, which is their floor."""


class Evaluated(_Record, frozen=True, kw_only=True):
    """What one evaluation measured of the global model; fields and names are those of RoundRow."""

    accuracy: float | None = None
    accuracy_float: float | None = None
    accuracy_exported: float | None = None
    interpreter: str = ""
    arithmetic: str = ""
    asr: float | None = None
    asr_float: float | None = None
    asr_exported: float | None = None
    asr_confidence: float | None = None
    recall: list[float | None] = []
    clients_mean: float | None = None
    clients_p10: float | None = None
    clients_min: float | None = None
    honest_mean: float | None = None
    honest_p10: float | None = None
    honest_min: float | None = None
    evaluation_ms: float | None = None
    last: LastEvaluation | None = None


class RoundRow(_Record, frozen=True, kw_only=True):
    """One round of one arm and seed. Bytes are counted at the framing boundary; `bytes_resent` is part of them."""

    schema: str = "byzantiny.round/1"
    arm: str
    seed: int
    round_num: int
    outcome: str
    """`aggregated` or `no-aggregate`."""
    reason: str = ""
    accuracy: float | None
    """The task's metric of the integer model after the round, on the test set; None in rounds without an evaluation."""
    accuracy_float: float | None = None
    """The same of the float32 control: the masters' real values, nothing rounded."""
    accuracy_exported: float | None = None
    """The same of the exported int8 `.tflite`; None where it was not run."""
    interpreter: str = ""
    """Who answered for it: package, version, resolver."""
    arithmetic: str = ""
    """Its rounding, one of docs/deploy.md's five; `unknown` if none of them."""
    asr: float | None = None
    """Attack success rate of the integer model; None where the attack has no probes."""
    asr_float: float | None = None
    asr_exported: float | None = None
    asr_confidence: float | None = None
    """Mean softmax probability of the wanted labels, of the deployed model."""
    recall: list[float | None] = []
    """By class, of the deployed model: the exported one where it was run, else the integer one."""
    clients_mean: float | None = None
    clients_p10: float | None = None
    clients_min: float | None = None
    """The integer model on each client's own samples: mean, 10 % quantile and worst over all clients ..."""
    honest_mean: float | None = None
    honest_p10: float | None = None
    honest_min: float | None = None
    """... and over the honest ones."""
    evaluation_ms: float | None = None
    last: LastEvaluation | None = None
    """In an arm's last round."""
    cohort: int
    accepted: int
    refused: int
    stale: int
    duplicate: int
    conflict: int
    bytes_up: int
    bytes_down: int
    bytes_resent: int
    model_sha256: str
    wall_s: float
    server_ms: float
    """Screening, aggregation and server step."""
    open_s: float = 0.0
    """From the offer to the close, by the coordinator's clock; in virtual time, no less real to a deadline."""
    shifts: list[int] = []
    """The round's grid by tensor, where it adapts; empty where it is fixed."""


class ClientRow(_Record, frozen=True, kw_only=True):
    """One client in one round; None where a field does not apply (nothing received, no such notion in the rule)."""

    schema: str = "byzantiny.client/1"
    arm: str
    seed: int
    round_num: int
    client_id: str
    body: str
    transport: str
    byzantine: bool
    attack: str = ""
    verdict: str
    """`accepted`, `rejected`, `stale`, `conflict`, `missing`: how the round ended for this client."""
    reason: str = ""
    refusals: dict[str, int] = {}
    """Every refusal of the round by reason, the final verdict's included."""
    n_samples: int | None = None
    norm_steps: float | None = None
    """L2 norm of the codes as received, in steps of the finest tensor of the run's first grid."""
    saturated: int | None = None
    """Coordinates at +-127."""
    kept: bool | None = None
    weight: float | None = None
    score: float | None = None
    clip_factor: float | None = None
    bytes_up: int
    bytes_down: int
    instructions: int | None = None
    """Emulated instructions of the local training, counted exactly; None where the body does not count."""


class Final(_Record, frozen=True, kw_only=True):
    """The outcome of one arm and seed."""

    schema: str = "byzantiny.final/1"
    arm: str
    seed: int
    accuracy: float
    """After the last round."""
    accuracy_last_tenth: float
    """Mean over the last 10 % of the rounds (at least one)."""
    accuracy_float: float | None = None
    accuracy_exported: float | None = None
    interpreter: str = ""
    arithmetic: str = ""
    asr: float | None = None
    asr_exported: float | None = None
    """After the last round, as in its row."""
    last: LastEvaluation | None = None
    rounds: int
    no_aggregate: int
    accepted: int
    refused: int
    bytes_up: int
    bytes_down: int
    wall_s: float
    model_sha256: str


class ArmInfo(_Record, frozen=True, kw_only=True):
    """What distinguishes one arm."""

    name: str
    title: str
    attack: str
    """`none`, or the attack with its parameters."""
    attack_start_round: int | None
    attack_stop_round: int | None = None
    byzantine: list[str]
    """Who lies; with `f`, who may."""
    f: int | None = None
    """How many of these lie in a round, where they are drawn anew for each; None: all."""
    defence: list[str]
    """The pipeline's stages with their parameters, in order."""
    overrides: dict[str, Any] = {}
    """What the arm overrides beside its attack and its defence, as its table in the experiment has it."""
    target: str = ""
    """A target to print beside the measured figure, e.g. `>= 95 %`; empty: none."""
    tensors: list[str] = []
    """The tensors it trains, in layout order, where they are not the manifest's, which are the first arm's."""


class FirmwareInfo(_Record, frozen=True, kw_only=True):
    """One firmware image, or the native library, as used."""

    name: str
    sha256: str
    compiler: str = ""
    flash_bytes: int | None = None
    ram_bytes: int | None = None
    instructions_per_step: float | None = None
    instructions_per_inference: float | None = None
    """Emulated, counted on an image that does nothing else; None unless counted on these sources."""


class Manifest(_Record, frozen=True, kw_only=True):
    """Everything needed to say what ran."""

    schema: str = "byzantiny.manifest/1"
    run_id: str
    name: str
    title: str
    created_utc: str
    command: list[str]
    config_sha256: str
    version: str
    wire_version: int
    git_commit: str | None
    git_dirty: bool | None
    python: str
    platform: str
    cpu: str
    cores: int
    packages: dict[str, str]
    task: dict[str, str | int | float]
    """name, train and test samples, dataset_sha256, partition, partition_sha256, network, parameters, layout_sha256,
    metric."""
    sources: list[dict[str, str | int]] = []
    """The user's files that the task was read from: name, file_bytes, sha256."""
    training: dict[str, str | int | float | list[str]]
    grid: dict[str, bool | int] = {}
    evaluation: dict[str, Any] = {}
    """The first arm's table."""
    class_names: list[str] = []
    costs: dict[str, int] = {}
    """What the network costs, whoever runs it (`byzantiny.experiment.costs`)."""
    tensors: list[str] = []
    """Their names in layout order, in which `RoundRow.shifts` has them."""
    clients: list[dict[str, str | int | bool]]
    """client_id, body, transport, samples, byzantine."""
    arms: list[ArmInfo]
    seeds: list[int]
    draws: list[dict[str, Any]] = []
    """What each seed draws: `seed`, `partition_sha256`, `cohorts_sha256`, and by arm the `byzantine` clients."""
    rounds: int
    broker: str
    kernels: str
    firmware: list[FirmwareInfo]
    finished: bool
    wall_s: float
    notes: list[str] = []
