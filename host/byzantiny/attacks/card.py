"""The card of an attack: what it wants, what it knows, where it touches the system, and how taxonomies call that.

Access levels order attacks by how much of the victim they need, from most to least dangerous: Tian, Cui, Liang, Yu. A
comprehensive survey on poisoning attacks and countermeasures in machine learning. ACM Computing Surveys 55(8), 2022.
Taxonomies: MITRE ATLAS (atlas.mitre.org) and NIST AI 100-2 E2025 (Vassilev et al., March 2025). ATLAS knows no technique
for a client that lies about its update; the nearest, a poisoned model, is what such an update makes of the global one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from byzantiny.attacks.errors import AttackError

Knowledge: TypeAlias = Literal["own", "colluding", "omniscient"]
"""Whose honest codes an attacker sees: its own body's, those of all attackers' bodies, or everyone's."""

KNOWLEDGE: tuple[Knowledge, ...] = ("own", "colluding", "omniscient")
"""From least to most."""

Access: TypeAlias = Literal["logic corruption", "data manipulation", "data injection", "pretrained start", "none"]

ACCESS: Mapping[Access, str] = {
    "logic corruption": "it changes what the client computes or sends",
    "data manipulation": "it changes samples or labels that the client has",
    "data injection": "it adds samples, and cannot touch those that are there",
    "pretrained start": "it hands over the model that training starts from",
    "none": "it holds links, and neither a client nor its data",
}
"""From most to least dangerous; the survey knows no adversary on a link."""

ATLAS: Mapping[str, str] = {
    "AML.T0010": "AI Supply Chain Compromise",
    "AML.T0018": "Manipulate AI Model",
    "AML.T0018.000": "Manipulate AI Model: Poison AI Model",
    "AML.T0020": "Training Data Poisoning",
    "AML.T0029": "Denial of AI Service",
    "AML.T0031": "Erode AI Model Integrity",
    "AML.T0043.004": "Craft Adversarial Data: Insert Backdoor Trigger",
}
"""MITRE ATLAS techniques by id."""

NIST: Mapping[str, str] = {
    "NISTAML.01": "Availability Violations",
    "NISTAML.011": "Model Poisoning (availability)",
    "NISTAML.012": "Clean-label Poisoning",
    "NISTAML.013": "Data Poisoning",
    "NISTAML.02": "Integrity Violations",
    "NISTAML.021": "Clean-label Backdoor",
    "NISTAML.023": "Backdoor Poisoning",
    "NISTAML.024": "Targeted Poisoning",
    "NISTAML.026": "Model Poisoning (integrity)",
    "NISTAML.051": "Model Poisoning (supply chain)",
}
"""Attacks of NIST AI 100-2 E2025 by id."""

Capability: TypeAlias = Literal["data", "update", "manifest", "link", "start"]
"""Where it acts: on the data, on the codes, on what an update says of itself, on frames, or on the first model."""

Leaves: TypeAlias = Literal["", "honest", "silent", "lies"]

LEAVES: Mapping[Leaves, str] = {
    "": "not an attack on the wire",
    "honest": "the models are those of a run in which the clients it holds were honest",
    "silent": "the models are those of a run in which the clients it holds did not answer",
    "lies": "updates of its own are accepted, one a round for each client it holds",
}
"""What an attack on the manifest or on the link leaves of a round, where the coordinator answers as it should."""

Aim: TypeAlias = Literal["nothing", "classes", "trigger", "chosen inputs"]

NEEDS: Mapping[str, str] = {
    "defence": "the coordinator's pipeline",
    "history": "the global models of earlier rounds",
    "model": "the model of this round",
    "round_num": "the number of this round",
    "grid": "the layout and the announced shifts",
    "training": "the network and the attackers' own samples, on a computer of their own",
    "chosen": "the inputs it is to be measured on",
    "unrounded": "the attackers' own updates before they were put on the grid",
    "keys": "the secrets of the clients whose links it holds",
}
"""What an attack may need beside honest rows, by the name on its card."""


@dataclass(frozen=True, slots=True)
class AttackInfo:
    """The card of an attack; `knowledge` is the least it needs with its default parameters.

    `access`: a name of ACCESS. `aims_at`: what its success is measured on; `trigger` and `chosen inputs` come with
    `probes`. `needs`: names of NEEDS without which it cannot run. `atlas`, `nist`: ids of the taxonomies. `idle`: the
    parameter that makes it the honest update, or leaves the data as they are, at 0; "" where none does. `answer`: the
    refusals, as records name them, that an attack on the manifest or on the link meets, and `leaves`, a name of LEAVES.

    Raises:
        AttackError: a name that is none of these; a data attack that does not say whether it may touch what is there; an
            attack on the start, and on nothing else, that does not say that this is its access.
    """

    name: str
    formula: str
    goal: Literal["untargeted", "targeted"]
    knowledge: Knowledge
    capability: Capability
    paper: str
    access: Access = "logic corruption"
    aims_at: Aim = "nothing"
    needs: tuple[str, ...] = ()
    atlas: tuple[str, ...] = ()
    nist: tuple[str, ...] = ()
    idle: str = ""
    answer: tuple[str, ...] = ()
    leaves: Leaves = ""

    def __post_init__(self) -> None:
        for what, given, known in (
            ("access", (self.access,), ACCESS),
            ("needs", self.needs, NEEDS),
            ("atlas", self.atlas, ATLAS),
            ("nist", self.nist, NIST),
            ("leaves", (self.leaves,), LEAVES),
        ):
            strange = [one for one in given if one not in known]
            if strange:
                raise AttackError(f"{self.name}: its card has {what} {strange[0]!r}; known: {', '.join(known)}")
        if self.on_wire == (not self.leaves):
            raise AttackError(f"{self.name}: what it leaves is {self.leaves!r}, its capability {self.capability}")
        if self.capability == "data" and self.access == "logic corruption":
            raise AttackError(
                f"{self.name}: a data attack has access by data manipulation or data injection; say which on its card"
            )
        if (self.capability == "start") != (self.access == "pretrained start"):
            raise AttackError(
                f"{self.name}: capability {self.capability!r} with access by {self.access}; an attack that hands over the"
                " first model has capability 'start' and access by pretrained start"
            )

    @property
    def on_wire(self) -> bool:
        """Whether it exists on a wire alone: without frames there is nothing it could do."""
        return self.capability in ("manifest", "link")
