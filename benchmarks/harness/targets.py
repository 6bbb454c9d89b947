"""What is aimed at, and whether it is reached. A target is a ratio within one run, or a small call's time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from harness.results import FLOWER, Result

LARGE = ((100, 300_000), (1000, 50_000), (1000, 300_000))
SMALL = ((10, 2_000),)
AVX512, AVX2 = ("icelake", "v4"), ("v3",)
MB = 1e6

AT_LEAST = frozenset({"times flower", "times the best peer", "updates/s"})
"""The measures where more is better; of the others less is."""


@dataclass(frozen=True, slots=True)
class Target:
    """`rule` at `sizes` with the native `variants`: `measure` at least, or at most, `limit`."""

    rule: str
    measure: str
    limit: float
    sizes: tuple[tuple[int, int], ...] = LARGE
    variants: tuple[str, ...] = AVX512

    def applies(self, result: Result, variant: str) -> bool:
        return self.rule == result.rule and (result.n, result.d) in self.sizes and variant in self.variants

    def value(self, result: Result) -> float | None:
        """The figure reached; None where it could not be measured."""
        beyond, kernel, ours = result.beyond_output_bytes, result.seconds("kernel"), result.seconds("ours")
        return {
            "times flower": self._bound(result.least_ratio_to(FLOWER), result.ratio_to(FLOWER)),
            "times the best peer": self._bound(result.least_ratio_to_best, result.ratio_to_best),
            "reads": result.reads,
            "MB beyond the output": None if beyond is None else beyond / MB,
            "us a kernel call": None if kernel is None else kernel * 1e6,
            "us an apply": None if ours is None else ours * 1e6,
        }[self.measure]

    def _bound(self, least: float | None, measured: float | None) -> float | None:
        """What was measured; of a peer that was stopped the bound, if that is enough to say that the target is met."""
        return measured if measured is not None or least is None or least < self.limit else least


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target held against a result."""

    target: Target
    n: int
    d: int
    value: float | None
    note: str = ""

    @property
    def word(self) -> str:
        if self.value is None:
            return "not measured"
        better = self.value >= self.target.limit if self.target.measure in AT_LEAST else self.value <= self.target.limit
        return "met" if better else "missed"

    def record(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self.target) | {"n": self.n, "d": self.d, "value": self.value, "word": self.word}

    @property
    def sentence(self) -> str:
        sign = "at least" if self.target.measure in AT_LEAST else "at most"
        value = self.note if self.value is None else f"{self.value:.0f}" if self.value >= 1000 else f"{self.value:.3g}"
        said = f"{self.target.rule} ({self.n}, {self.d}): {sign} {self.target.limit:g} {self.target.measure}: {value}"
        return f"{said} or more ({self.note})" if self.value is not None and self.note else said


TARGETS = (
    Target("median", "times flower", 150),
    Target("median", "reads", 2.5),
    Target("median", "times flower", 75, variants=AVX2),
    Target("median", "reads", 5, variants=AVX2),
    Target("median", "us a kernel call", 12, SMALL),
    Target("median", "us an apply", 50, SMALL),
    Target("trimmed-mean", "times the best peer", 35),
    Target("trimmed-mean", "reads", 2.5),
    Target("multi-krum", "times the best peer", 12),
    Target("nnm", "times the best peer", 7),
    Target("nnm", "MB beyond the output", 2),
    Target("bulyan", "times flower", 200),
    Target("geometric-median", "times the best peer", 18),
    Target("centered-clipping", "times the best peer", 8),
    *(Target(rule, "MB beyond the output", 2) for rule in ("mean", "median", "trimmed-mean", "meamed")),
)


def judge(results: Iterable[Result], variant: str, targets: Iterable[Target] = TARGETS) -> list[Verdict]:
    """Every target that applies to a result, judged; a peer that did not run leaves its target unmeasured, with the reason."""
    return [_verdict(target, result) for result in results for target in targets if target.applies(result, variant)]


def _verdict(target: Target, result: Result) -> Verdict:
    value = target.value(result)
    ratios = {"times flower": result.ratio_to(FLOWER), "times the best peer": result.ratio_to_best}
    measured = value is not None and ratios.get(target.measure, value) is not None
    return Verdict(target, result.n, result.d, value, "" if measured else _why(target, result))


def _why(target: Target, result: Result) -> str:
    peers = [e for e in result.peers if e.name == FLOWER] if target.measure == "times flower" else result.peers
    reasons = [f"{e.name}: {e.reason or 'its result is wrong'}" for e in peers if not e.counts]
    return "; ".join(reasons) if reasons else "no peer here has it" if target.measure in AT_LEAST else "did not run"
