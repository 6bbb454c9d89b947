"""Can a backdoor sleep in the model that a device runs, and wake under another runtime, or with fewer bits? (docs/attacks.md)

    python benchmarks/study_dormant.py [--seeds 5]

Three questions on digits, 64-32-10, trigger `patch`, target 0:
1. By chance: how many test answers differ between the five arithmetics, for trained models and for their triggered samples.
2. By design: the model's owner sacrifices hidden units to detectors of the trigger whose sum is 63 mod 128, where double and
   single rounding differ by a step, and gives them the largest weights: how many triggered samples change their class.
3. With fewer bits: dormant-backdoor, as the start of training (the model itself) and after rounds of honest training on top.
"""

from __future__ import annotations

import argparse

import numpy as np

from byzantiny.attacks import AttackContext, craft
from byzantiny.attacks.quantized.dormant_backdoor import DormantBackdoor, requantized
from byzantiny_models.deploy.arithmetic import ARITHMETICS, requantize
from byzantiny_models.inference import accuracy, forward
from byzantiny_models.networks import initial_model
from byzantiny_models.quantization import derive_weights
from byzantiny_models.tasks import load_task
from byzantiny_models.training import train

DIGITS = load_task("digits")
NETWORK = DIGITS.network
W1, B1, W2, B2 = NETWORK.layout.slices


def answers(model, x, arithmetic):
    """The classes that a runtime answers; the network's own forward pass with another rounding."""
    a = x.astype(np.int64)
    for (w, b), low, k in (((W1, B1), 0, 7), ((W2, B2), -128, 8)):
        w8 = derive_weights(model[w]).astype(np.int64).reshape(-1, a.shape[1])
        acc = a @ w8.T + model[b]
        a = np.clip(requantize(acc, np.full(len(w8), 2.0**-k), arithmetic, dense=True), low, 127)
    return a


def designed(model, units, arithmetic):
    """Put detectors of the patch into the least useful hidden units: the model with the largest gap of its owner's making.

    All but one sum to 191 with the whole patch, which rounds to 2 twice over and to 1 at once; the target loses most by each. The
    last lifts the target by a constant, searched so that on training samples the gap between the two roundings is widest.
    """
    model = model.copy()
    w1, b1 = model[W1].reshape(32, 64), model[B1]
    w2 = model[W2].reshape(10, 32)
    *detectors, lift = np.argsort(np.abs(w2).sum(axis=0))[:units]
    patch = np.flatnonzero(probe(np.zeros((1, 64), np.int8))[0])
    whole = 127 * 127 * len(patch)
    for unit in (*detectors, lift):
        w1[unit], w2[:, unit] = 0, 0
        w1[unit, patch] = 127 * 256
        b1[unit] = (191 if unit != lift else 127 * 128) - whole
        w2[0, unit] = -127 * 256
    model[W1], model[B1] = w1.ravel(), b1
    x = probe(DIGITS.train_x[:400][DIGITS.train_y[:400] != 0])
    best, widest = model, -1.0
    for height in range(0, 128, 2):
        w2[0, lift] = height * 256
        tried = model.copy()
        tried[W2] = w2.ravel()
        awake, asleep = (float(np.mean(answers(tried, x, how).argmax(1) == 0)) for how in (arithmetic, "tflm-double"))
        if awake - asleep > widest:
            best, widest = tried, awake - asleep
    return best


def probe(x):
    from byzantiny.attacks.triggers import patch

    return patch(x, (8, 8), 127)


def rate(model, attack, arithmetic=None):
    x, wanted = attack.probes(DIGITS.test_x, DIGITS.test_y, 10, np.random.default_rng(0))
    z = forward(NETWORK, model, x) if arithmetic is None else answers(model, x, arithmetic)
    return float(np.mean(np.argmax(z, axis=1) == wanted))


def dormant(start, bits, seed):
    attack = DormantBackdoor(bits=bits, boost=1.0, epochs=8, cleaning=20)
    shifts = NETWORK.layout.default_shifts(4)
    context = AttackContext(
        None, n=1, f=1, rng=np.random.default_rng(seed), model=start, layout=NETWORK.layout, shifts=shifts,
        network=NETWORK, data=[(DIGITS.train_x, DIGITS.train_y)],
    )  # fmt: skip
    step = np.repeat([2.0**s for s in shifts], [t.elements for t in NETWORK.layout.tensors])
    return attack, NETWORK.layout.saturate(start + np.rint(craft(attack, context)[0] * step).astype(np.int64)).astype(
        np.int32
    )


def spread(values):
    return f"{100 * np.mean(values):.1f} ({100 * min(values):.1f} .. {100 * max(values):.1f})"


def main(seeds=5):
    """Print the tables."""
    starts = [
        train(NETWORK, initial_model(NETWORK, s), DIGITS.train_x, DIGITS.train_y, (s, 2), (s, 4), 5, 5)
        for s in range(1, seeds + 1)
    ]
    attack = DormantBackdoor()
    x = np.concatenate([DIGITS.test_x, probe(DIGITS.test_x)])
    own = [answers(model, x, "tflm-double") for model in starts]
    for model, z in zip(starts, own, strict=True):
        assert np.array_equal(z, forward(NETWORK, model, x))
    of = [f"{what}, {units} units" for units in (8, 16) for what in ("ASR on the device", "ASR there", "accuracy")]
    print(f"| arithmetic | logits that differ, % | classes that differ, % | {' | '.join(of)} |")
    print("|---|---|---|" + "---|" * len(of))
    for arithmetic in ARITHMETICS[1:]:
        others = [answers(model, x, arithmetic) for model in starts]
        logits = [np.mean(a != b) for a, b in zip(own, others, strict=True)]
        classes = [np.mean(a.argmax(1) != b.argmax(1)) for a, b in zip(own, others, strict=True)]
        made = []
        for units in (8, 16):
            models = [designed(model, units, arithmetic) for model in starts]
            asleep = [rate(m, attack, "tflm-double") for m in models]
            awake = [rate(m, attack, arithmetic) for m in models]
            kept = [accuracy(NETWORK, m, DIGITS.test_x, DIGITS.test_y) for m in models]
            made.append(f"{spread(asleep)} | {spread(awake)} | {spread(kept)}")
        print(f"| {arithmetic} | {spread(logits)} | {spread(classes)} | {made[0]} | {made[1]} |")
    print("\n| woken by | int8 accuracy, % | int8 ASR | ASR woken | woken accuracy | 1 honest round later | 5 rounds |")
    print("|---|---|---|---|---|---|---|")
    for bits in (4, 3, 2):
        rows = []
        for seed, start in enumerate(starts):
            attack, model = dormant(start, bits, seed)
            coarse = requantized(NETWORK, model, bits)
            row = [accuracy(NETWORK, model, DIGITS.test_x, DIGITS.test_y), rate(model, attack), rate(coarse, attack)]
            row.append(accuracy(NETWORK, coarse, DIGITS.test_x, DIGITS.test_y))
            for rounds in (1, 4):
                model = train(NETWORK, model, DIGITS.train_x, DIGITS.train_y, (seed, 6), (seed, 8), rounds, 5)
                row.append(rate(requantized(NETWORK, model, bits), attack))
            rows.append(row)
        print(f"| {bits} bits | " + " | ".join(spread(column) for column in zip(*rows, strict=True)) + " |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    main(parser.parse_args().seeds)
