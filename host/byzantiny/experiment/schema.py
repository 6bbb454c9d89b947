"""The tables of an experiment file as strict structs: what there is, its type, its range, its default."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

NAME = "^[a-z0-9-]{1,40}$"
Name = Annotated[str, Meta(pattern=NAME)]
Prefix = Annotated[str, Meta(pattern="^[a-z0-9-]{1,11}$")]
Stage = dict[str, Any]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A strict table."""


class Training(_Table, frozen=True, kw_only=True):
    """What every client does in a round; the learning rate is 2^-lr_shift, one code is 2^(shift - 14) of a weight."""

    trainer: Name = "int8-sr"
    scope: Literal["all", "last-layer", "biases"] | Annotated[list[str], Meta(min_length=1)] = "all"
    """What is trained and sent; or the tensors by name."""
    epochs: Annotated[int, Meta(ge=1, le=255)] = 1
    lr_shift: Annotated[int, Meta(ge=4, le=14)] = 5
    shift: Annotated[int, Meta(ge=3, le=12)] = 6


class Grid(_Table, frozen=True, kw_only=True):
    """Whether and how the grid follows the clients' codes; `training.shift` is then that of round 1."""

    adapt: bool = False
    every_rounds: Annotated[int, Meta(ge=1, le=1000)] = 3
    low_steps: Annotated[int, Meta(ge=1, le=62)] = 4
    high_steps: Annotated[int, Meta(ge=5, le=127)] = 32


class Partition(_Table, frozen=True, kw_only=True):
    """How the training set is split over the clients; a partition reads the parameters that are its own."""

    name: Literal["iid", "dirichlet", "shards", "quantity", "gamma-similarity", "natural", "drift"] = "dirichlet"
    alpha: Annotated[float, Meta(gt=0)] = 100.0
    min_samples: Annotated[int, Meta(ge=1)] = 8
    shards_per_client: Annotated[int, Meta(ge=1)] = 2
    gamma: Annotated[float, Meta(ge=0, le=1)] = 0.5
    bias_steps: Annotated[int, Meta(ge=0, le=127)] = 16
    gain_64ths: Annotated[int, Meta(ge=0, le=63)] = 8

    def in_force(self) -> dict[str, str | int | float]:
        """Return the name and the parameters that this partition reads.

        >>> Partition(name="shards").in_force()
        {'partition': 'shards', 'shards_per_client': 2}
        """
        names: tuple[str, ...] = {
            "iid": (),
            "dirichlet": ("alpha",),
            "shards": ("shards_per_client",),
            "quantity": ("alpha",),
            "gamma-similarity": ("gamma",),
            "natural": (),
            "drift": ("bias_steps", "gain_64ths"),
        }[self.name]
        return {"partition": self.name} | {name: getattr(self, name) for name in names}


class Round(_Table, frozen=True, kw_only=True):
    """When a round begins and ends; 0 means the whole (fleet, cohort)."""

    cohort: Annotated[int, Meta(ge=0)] = 0
    quorum: Annotated[int, Meta(ge=0)] = 0
    deadline_s: Annotated[float, Meta(gt=0, le=4_000_000)] = 60.0
    """On the wire it is a u32 of milliseconds."""
    l2_bound: Literal["default", "off"] | Annotated[int, Meta(ge=1, lt=1 << 20)] = "default"
    """Announced to the devices and enforced on the norms the coordinator measured; in steps of the finest tensor."""


class ClientGroup(_Table, frozen=True, kw_only=True):
    """Clients that are alike: `count` of them, named `prefix-01`, `prefix-02`, ..."""

    prefix: Prefix = "dev"
    count: Annotated[int, Meta(ge=1, le=65535)] = 1
    body: Name = "native"
    transport: Literal["memory", "mqtt", "serial"] = "memory"
    payload_bytes: Literal[64, 128, 240, 512, 1024, 2048, 4096] | None = None
    borrowed: Annotated[int, Meta(ge=0, le=65535)] = 0
    """So many samples each, drawn from everybody's, in place of a share of the partition: a client that brings no data."""
    firmware_attack: Name | None = None
    """An attack inside their firmware: they are Byzantine, and nothing stands in front of them (docs/byzantine-board.md)."""
    firmware_params: dict[str, int] = {}
    board: str | None = None
    """A board of `boards.toml` (body = "board"); count must be 1."""


class Attack(_Table, frozen=True, kw_only=True):
    """Who is Byzantine and what they do; `params` are the attack's own."""

    name: Name = "none"
    byzantine: Annotated[int, Meta(ge=0)] | Annotated[float, Meta(gt=0, lt=1)] | list[str] = 0
    """A number f or a share of the clients (rounded down, at least one), drawn from the seed; or the client ids."""
    attackers: Literal["fixed", "resampled"] = "fixed"
    """The same clients in all rounds, or so many drawn anew for each."""
    start_round: Annotated[int, Meta(ge=1)] = 1
    stop_round: Annotated[int, Meta(ge=1)] | None = None
    """The last round in which they lie; none: to the end."""
    knowledge: Literal["own", "colluding", "omniscient"] | None = None
    """The most that it is granted; None: what the attack asks for."""
    defence_known: bool = False
    history: bool = False
    params: dict[str, Any] = {}


class Defence(_Table, frozen=True, kw_only=True):
    """The pipeline, in order; its last stage is the aggregator. `f_declared` is what the defence is told."""

    pipeline: list[Stage] = msgspec.field(default_factory=lambda: [{"name": "mean"}])
    f_declared: Annotated[int, Meta(ge=0)] = 0


class Mqtt(_Table, frozen=True, kw_only=True):
    """The broker; without a URL a private one is started."""

    broker: str | None = None
    version: Literal["3.1.1", "5"] = "3.1.1"
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None


class Link(_Table, frozen=True, kw_only=True):
    """Faults injected into the memory transport, as probabilities per frame; drawn from the seed, in virtual time."""

    drop: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    duplicate: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    reorder: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    corrupt: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    delay_s: Annotated[float, Meta(ge=0, le=3600)] = 0.0


class Evaluation(_Table, frozen=True, kw_only=True):
    """What is measured of the global model, when, and who answers for the exported one."""

    every_rounds: Annotated[int, Meta(ge=1)] = 1
    """The last round is always evaluated."""
    deployed: bool | Literal["auto"] = "auto"
    """Run the exported `.tflite` as well; auto: where the network has a template."""
    interpreter: Literal["auto", "tflite-runtime", "ai-edge-litert", "tf.lite", "tflite-micro", "numpy"] = "auto"
    arithmetic: Literal["auto", "tflm-double", "ruy", "single", "xnnpack-fp32", "mixed"] = "auto"
    """auto: the interpreter's own; a named one is NumPy's."""
    per_client: bool = True
    bits: list[Annotated[int, Meta(ge=2, le=8)]] = msgspec.field(default_factory=lambda: [8, 4, 3, 2])
    arithmetics: list[Literal["tflm-double", "ruy", "single", "xnnpack-fp32", "mixed"]] = []
    """Of the last model, every number of bits in every arithmetic; none: in the one in force."""


class Model(_Table, frozen=True, kw_only=True):
    """What the first round begins with; without a start the seed draws it."""

    start: str | None = None
    """A file that `byzantiny model import` wrote; it is copied into the run directory, and its hash pinned."""


class RunConfig(_Table, frozen=True, kw_only=True):
    """One arm, fully resolved."""

    schema: Literal["byzantiny.experiment/1"] = "byzantiny.experiment/1"
    name: Name = "experiment"
    title: str = ""
    target: str = ""
    task: Name = "digits"
    data: str | None = None
    """Where the user's files are, for a task that reads some; relative to the experiment file's folder."""
    rounds: Annotated[int, Meta(ge=1)] = 40
    seeds: Annotated[list[Annotated[int, Meta(ge=0, le=(1 << 62))]], Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: [1]
    )
    keep_updates: bool = False
    training: Training = Training()
    model: Model = Model()
    grid: Grid = Grid()
    partition: Partition = Partition()
    round: Round = Round()
    clients: Annotated[list[ClientGroup], Meta(min_length=1)] = msgspec.field(default_factory=lambda: [ClientGroup()])
    attack: Attack = Attack()
    defence: Defence = Defence()
    evaluation: Evaluation = Evaluation()
    mqtt: Mqtt = Mqtt()
    link: Link = Link()

    @property
    def liars(self) -> int:
        """How many clients are Byzantine by `[attack]`: f, without those whose firmware lies.

        >>> run = RunConfig(clients=[ClientGroup(count=10)], attack=Attack(byzantine=0.25))
        >>> run.liars
        2
        """
        chosen = self.attack.byzantine
        if isinstance(chosen, float):
            return max(1, int(chosen * len(self.client_ids())))
        return chosen if isinstance(chosen, int) else len(chosen)

    def client_ids(self) -> list[str]:
        """Every client, in the order of the groups."""
        return [client_id for client_id, _ in self.members()]

    def members(self) -> list[tuple[str, ClientGroup]]:
        """Every client with its group."""
        return [
            (f"{group.prefix}-{number:0{max(2, len(str(group.count)))}d}", group)
            for group in self.clients
            for number in range(1, group.count + 1)
        ]
