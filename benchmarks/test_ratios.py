"""The ratios through pytest-benchmark, for its history and comparison: `pytest benchmarks --benchmark-autosave`.

Nothing is asserted about time. The figures are in `extra_info`; both sides of each ratio run interleaved in one process.
"""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import bench_median
import bench_training

MEDIAN_TARGET = 60.0
"""Times np.median of float32, at (100, 300k) and (1000, 50k)."""
TRAINING_TARGETS = {"native v3": 1.2e6, "native v4": 2.0e6}
"""Steps a second a core."""


@pytest.mark.parametrize(("n", "d"), bench_median.SIZES)
def test_median(benchmark, n, d):
    result = benchmark.pedantic(bench_median.measure, args=(n, d, 5), rounds=1)
    benchmark.extra_info.update(result, target_ratio_to_np_median=MEDIAN_TARGET)
    print(f"\nmedian ({n}, {d}): {result['ratio_to_np_median']:.0f}x np.median, {result['ratio_to_read']:.1f}x a read")


def test_training(benchmark):
    steps, reference_s = benchmark.pedantic(bench_training.measure, args=(1000, 5), rounds=1)
    benchmark.extra_info.update(steps_per_s=steps, reference_s=reference_s, targets=TRAINING_TARGETS)
    print("\n" + ", ".join(f"{name} {value / 1e6:.2f} M steps/s" for name, value in steps.items()))
