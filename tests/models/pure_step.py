"""INT8-SR once more, in plain Python integers and loops: written from the specification, importing no project code.

Run as a program it writes data/step_4_3_2.json: every intermediate value of a few training steps of a 4-3-2 network,
for whoever has to find out at which line another implementation departs. The tests compare the trainer with it.
"""

import hashlib
import json
import math
import pathlib
import re

M32 = 0xFFFFFFFF
LUT = [math.floor(65535 * math.exp(-d / 8) + 0.5) for d in range(256)]


def key(seed, client_id, round_num, stream):
    message = b"byzantiny-rng-1" + seed.to_bytes(8, "little") + client_id.encode().ljust(16, b"\0")
    digest = hashlib.sha256(message + round_num.to_bytes(4, "little") + bytes([stream])).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little")


def draw(i, k0, k1):
    x = (i + k0) & M32
    x ^= x >> 16
    x = (x * 0x7FEB352D + k1) & M32
    x ^= x >> 15
    x = (x * 0x846CA68B) & M32
    return x ^ (x >> 16)


def order(n, epoch, k0, k1):
    samples = list(range(n))
    for i in range(n - 1, 0, -1):
        j = ((draw((epoch * 65536 + i) & M32, k0, k1) >> 16) * (i + 1)) >> 16
        samples[i], samples[j] = samples[j], samples[i]
    return samples


def clip(v, low, high):
    return max(low, min(v, high))


def requantize(acc, k):
    t = (acc + 1) >> 1
    if k == 1:
        return t
    magnitude = (abs(t) + (1 << (k - 2))) >> (k - 1)  # half away from zero
    return magnitude if t >= 0 else -magnitude


def sr(v, s, noise):
    if s <= 0:
        return v * 2**-s
    assert s <= 16
    return (v + (noise >> (32 - s))) >> s


def step(sizes, model, x, y, t, k_train, lr_shift):
    """One step; returns every intermediate, the new model among them. Loops over layers; checks int32 everywhere."""
    a_key, b_key = draw(t, *k_train), draw(t, k_train[1], k_train[0])
    out = {"step": t, "x": list(x), "label": y, "noise_key": [a_key, b_key], "layers": []}
    acts, offset, depth = [list(x)], 0, len(sizes) - 1
    for layer in range(depth):
        n, m = sizes[layer], sizes[layer + 1]
        w = [model[offset + o * n : offset + (o + 1) * n] for o in range(m)]
        bias = model[offset + n * m : offset + n * m + m]
        w8 = [[min(127, (v + 128) >> 8) for v in row] for row in w]
        acc = [bias[o] + sum(w8[o][j] * acts[-1][j] for j in range(n)) for o in range(m)]
        assert all(-(2**31) <= v < 2**31 for v in acc)
        k = (12 if layer == 0 else 11) - (3 if layer == depth - 1 else 5)
        low = -128 if layer == depth - 1 else 0
        acts.append([clip(requantize(v, k), low, 127) for v in acc])
        out["layers"].append({"offset": offset, "w8": w8, "acc": acc, "out": acts[-1]})
        offset += n * m + m
    d = [max(acts[-1]) - z for z in acts[-1]]
    exps = [LUT[v] for v in d]
    total = sum(exps)
    p = [min(127, (v * 128 + total // 2) // total) for v in exps]
    e = [v - (127 if o == y else 0) for o, v in enumerate(p)]
    out["softmax"] = {"d": d, "E": exps, "S": total, "p": p}
    after = list(model)
    for layer in range(depth - 1, -1, -1):
        n, m, record = sizes[layer], sizes[layer + 1], out["layers"][layer]
        last, base, a = layer == depth - 1, record["offset"], acts[layer]
        e_frac, a_frac = (7 if last else 10), (6 if layer == 0 else 5)
        record["error"] = e
        sums = [sum(record["w8"][o][j] * e[o] for o in range(m)) for j in range(n)]
        assert layer == 0 or all(-(2**31) <= v < 2**31 for v in sums)
        s = e_frac + a_frac + lr_shift - 14
        for o in range(m):
            for j in range(n):
                i = base + o * n + j
                assert abs(e[o] * a[j]) <= 2**22
                after[i] = clip(model[i] - sr(e[o] * a[j], s, draw(i, a_key, b_key)), -32512, 32512)
            i = base + n * m + o
            moved = model[i] - sr(e[o], e_frac + lr_shift - (a_frac + 6), draw(i, a_key, b_key))
            after[i] = clip(moved, -(2**24 - 1), 2**24 - 1)
        if layer > 0:
            right = 6 + e_frac - 10
            below = [clip((v + (1 << (right - 1))) >> right, -32768, 32767) for v in sums]
            e = [v if 0 < a[j] < 127 else 0 for j, v in enumerate(below)]
            record["error_sums"] = sums
    out["model_after"] = after
    return out


def train(sizes, model, xs, ys, k_order, k_train, epochs, lr_shift):
    t, steps = 0, []
    for epoch in range(epochs):
        for sample in order(len(xs), epoch, *k_order):
            record = step(sizes, model, xs[sample], ys[sample], t, k_train, lr_shift)
            record["sample"], model, t = sample, record["model_after"], t + 1
            steps.append(record)
    return model, steps


def encode(fracs, counts, start, local, shifts, l2_bound, k_codes):
    tensor = [t for t, count in enumerate(counts) for _ in range(count)]
    exponents = [s - f for s, f in zip(shifts, fracs, strict=True)]
    delta, norm = [], 0
    for i, t in enumerate(tensor):
        limit = 127 * 2 ** shifts[t]
        delta.append(clip(local[i] - start[i], -limit, limit))
        nearest = math.floor(delta[-1] / 2 ** shifts[t] + 0.5)
        norm += 4 ** (exponents[t] - min(exponents)) * clip(nearest, -127, 127) ** 2
    if l2_bound > 0 and norm > l2_bound**2:
        root = math.isqrt(norm)
        c = (l2_bound << 12) // (root if root * root == norm else root + 1)
        assert c < 4096
        delta = [abs(v) * c // 4096 * (1 if v >= 0 else -1) for v in delta]
    a, b = draw(0, *k_codes), draw(0, k_codes[1], k_codes[0])
    return [
        clip(sr(v, shifts[t], draw(i, a, b)), -127, 127) for i, (v, t) in enumerate(zip(delta, tensor, strict=True))
    ]


def dump():
    sizes, seed, client_id, round_num, lr_shift, epochs = [4, 3, 2], 1, "dev-01", 1, 5, 2
    bits = [draw(i, 2026, 432) >> 16 for i in range(23 + 12)]
    model = [clip(v - 32768, -32512, 32512) for v in bits[:23]]
    for i in (12, 13, 14, 21, 22):
        model[i] >>= 3  # biases of a size that leaves some activations between the clamps
    model[14], model[0], model[17], model[20] = 2**24 - 3, 32510, -32500, -32511  # unit 2 and a weight saturate
    xs = [[(v & 255) - 128 for v in bits[23 + 4 * n : 27 + 4 * n]] for n in range(3)]
    ys = [0, 1, 1]
    keys = {name: key(seed, client_id, round_num, s) for s, name in enumerate(("sample_order", "training", "codes"))}
    local, steps = train(sizes, model, xs, ys, keys["sample_order"], keys["training"], epochs, lr_shift)
    shifts, l2_bound = [5, 3, 5, 2], 12
    fracs, counts = [14, 12, 14, 11], [12, 3, 6, 2]
    return {
        "about": "INT8-SR, all intermediates; written by tests/models/pure_step.py (python tests/models/pure_step.py)",
        "sizes": sizes,
        "seed": seed,
        "client_id": client_id,
        "round_num": round_num,
        "keys": keys,
        "lr_shift": lr_shift,
        "epochs": epochs,
        "x": xs,
        "y": ys,
        "model_before": model,
        "steps": steps,
        "model_after": local,
        "encode": {
            "shifts": shifts,
            "l2_bound": l2_bound,
            "codes_without_bound": encode(fracs, counts, model, local, shifts, 0, keys["codes"]),
            "codes": encode(fracs, counts, model, local, shifts, l2_bound, keys["codes"]),
        },
    }


def text():
    # Lists of numbers on one line: a diff then names the value that moved.
    spread = json.dumps(dump(), indent=1)
    return re.sub(r"\[[-\d,\s]+\]", lambda found: " ".join(found.group().split()), spread) + "\n"


if __name__ == "__main__":
    (pathlib.Path(__file__).parent / "data" / "step_4_3_2.json").write_text(text())
