"""INT8-SR for any layers, in plain Python integers: written from the specification, importing no project code.

Convolutions are loops over positions and taps that push (no gather tables), dictionaries instead of arrays; every sum is
checked against int32. A network is (layers, head): layers are ("dense", inputs, outputs, activation),
("conv", (h, w, c), filters, (kh, kw), (sh, sw), padding, activation), ("pool", (h, w, c), (ph, pw)). A model is a list of
(kernel, bias), one a weighted layer, each {"master": [...]} (trained), {"frozen": [...]} (int8 weights, biases) or {"int8":
[...]} (int8 weights that are trained without a master). With `feedback`, a matrix (inputs, outputs of the network) a layer
of dense ones, errors go down by direct feedback alignment instead of backpropagation.
"""

import importlib.util
import pathlib
from fractions import Fraction
from math import floor

_spec = importlib.util.spec_from_file_location("pure_step", pathlib.Path(__file__).parent / "pure_step.py")
pure = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(pure)

INT16 = (1 << 15) - 1


def int32(v):
    assert -(2**31) <= v < 2**31, v
    return v


def pads(size, kernel, stride, padding):
    """(outputs, pixels of padding before), as TensorFlow defines them."""
    if padding == "valid":
        return len(range(0, size - kernel + 1, stride)), 0
    outputs = (size + stride - 1) // stride
    return outputs, max(0, (outputs - 1) * stride + kernel - size) // 2


def shape(layer):
    """(inputs, outputs, out_h, out_w, pad_top, pad_left) of a layer."""
    if layer[0] == "dense":
        return layer[1], layer[2], 1, 1, 0, 0
    h, w, c = layer[1]
    kernel, strides, padding = (layer[3], layer[4], layer[5]) if layer[0] == "conv" else (layer[2], layer[2], "valid")
    (oh, top), (ow, left) = pads(h, kernel[0], strides[0], padding), pads(w, kernel[1], strides[1], padding)
    return h * w * c, oh * ow * (layer[2] if layer[0] == "conv" else c), oh, ow, top, left


def pairs(layer):
    """Every (output, input, weight) that a weighted layer multiplies, by definition."""
    if layer[0] == "dense":
        for o in range(layer[2]):
            for i in range(layer[1]):
                yield o, i, o * layer[1] + i
        return
    (h, w, c), filters, (kh, kw), (sh, sw) = layer[1:5]
    _, _, oh, ow, top, left = shape(layer)
    for y in range(oh):
        for x in range(ow):
            for ky in range(kh):
                for kx in range(kw):
                    iy, ix = y * sh - top + ky, x * sw - left + kx
                    if 0 <= iy < h and 0 <= ix < w:
                        for o in range(filters):
                            for ch in range(c):
                                yield (
                                    (y * ow + x) * filters + o,
                                    (iy * w + ix) * c + ch,
                                    ((o * kh + ky) * kw + kx) * c + ch,
                                )


def windows(layer):
    """Every (output, [inputs]) of a pooling."""
    h, w, c = layer[1]
    ph, pw = layer[2]
    for y in range(h // ph):
        for x in range(w // pw):
            for ch in range(c):
                inside = [((y * ph + i) * w + x * pw + j) * c + ch for i in range(ph) for j in range(pw)]
                yield (y * (w // pw) + x) * c + ch, inside


def half_away(value):
    return floor(value + Fraction(1, 2)) if value >= 0 else -floor(-value + Fraction(1, 2))


def weights(tensor):
    held = tensor.get("frozen", tensor.get("int8"))
    return [min(127, (v + 128) >> 8) for v in tensor["master"]] if held is None else held


def biases(tensor):
    return tensor["frozen"] if "frozen" in tensor else tensor["master"]


def describe(layers, head):
    """Per layer: fractional bits, k, clamp; what the layer below lets pass; limits of errors."""
    rows, frac, passes, limit = [], 6, (-129, 128), 0
    for i, layer in enumerate(layers):
        last = i == len(layers) - 1
        row = {"in_frac": frac, "passes": passes, "below": limit}
        if layer[0] == "pool":
            passes, limit = (-129, 128), INT16
        else:
            positions = 1 if layer[0] == "dense" else shape(layer)[2] * shape(layer)[3]
            out = 5 if not last else 3 if head == "softmax" else 6
            limit = min(INT16, (2**31 - 2**17) // (128 * positions) - 1)
            row |= {"k": frac + 6 - out, "low": 0 if layer[-1] == "relu" else -128, "e_frac": 7 if last else 10}
            row["filters"] = layer[2]
            frac, passes = 5, (row["low"], 127)
        rows.append(row)
    return rows


def forward(layers, head, model, x):
    """The outputs of every layer, the input first."""
    outputs, tensors = [list(x)], iter(model)
    for layer, row in zip(layers, describe(layers, head), strict=True):
        a, n = outputs[-1], shape(layer)[1]
        if layer[0] == "pool":
            y = [0] * n
            for o, inside in windows(layer):
                y[o] = half_away(Fraction(sum(a[i] for i in inside), len(inside)))
        else:
            kernel, bias = next(tensors)
            w, b = weights(kernel), biases(bias)
            acc = [b[o % row["filters"]] for o in range(n)]
            for o, i, at in pairs(layer):
                acc[o] = int32(acc[o] + w[at] * a[i])
            y = [pure.clip(pure.requantize(int32(v), row["k"]), row["low"], 127) for v in acc]
        outputs.append(y)
    return outputs


def head_error(head, z, x, label):
    if head == "squared-error":
        return [pure.clip(2 * (v - t), -127, 127) for v, t in zip(z, x, strict=True)]
    exps = [pure.LUT[max(z) - v] for v in z]
    total = sum(exps)
    p = [min(127, (v * 128 + total // 2) // total) for v in exps]
    return [v - (127 if o == label else 0) for o, v in enumerate(p)]


def offsets_of(model):
    """Per weighted layer where kernel and bias begin among the trained tensors; None for a frozen one."""
    offsets, at = [], 0
    for pair in model:
        starts = []
        for tensor in pair:
            trained = tensor.get("master", tensor.get("int8"))
            starts.append(None if trained is None else at)
            at += len(trained or ())
        offsets.append(starts)
    return offsets


def sums(layer, filters, w, a, error):
    """What a weighted layer sums up in the backward pass: the inputs' errors, the gradients of kernel and bias."""
    below, gradient, total = [0] * len(a), [0] * len(w), [0] * filters
    for o, j, k in pairs(layer):
        below[j] += w[k] * error[o]
        gradient[k] = int32(gradient[k] + error[o] * a[j])
    for o, e in enumerate(error):
        total[o % filters] = int32(total[o % filters] + e)
    return below, gradient, total


def moved(tensor, start, gradient, shift, limit, noise_key):
    """A tensor after its step; a frozen one stays."""
    if start is None:
        return tensor
    assert all(abs(g) + 2**16 < 2**31 for g in gradient)
    noise = [pure.draw(start + k, *noise_key) for k in range(len(gradient))]
    if "int8" in tensor:
        s = shift + 8  # the format has 8 bits less
        new = [v - ((g + (n >> (32 - s))) >> s) for v, g, n in zip(tensor["int8"], gradient, noise, strict=True)]
        return {"int8": [pure.clip(v, -127, 127) for v in new]}
    new = [v - pure.sr(g, shift, n) for v, g, n in zip(tensor["master"], gradient, noise, strict=True)]
    return {"master": [pure.clip(v, -limit, limit) for v in new]}


def step(layers, head, model, x, label, t, k_train, lr_shift, seen=None, feedback=None):
    """The model after one step; what errors and gradients were met goes into `seen`."""
    noise_key = pure.draw(t, *k_train), pure.draw(t, k_train[1], k_train[0])
    outputs, offsets, after, number = forward(layers, head, model, x), offsets_of(model), list(model), len(model)
    lowest = next(i for i, pair in enumerate(offsets) if pair != [None, None])
    error = top = head_error(head, outputs[-1], x, label)
    for layer, row, a, at in reversed(
        list(zip(layers, describe(layers, head), outputs, range(len(layers)), strict=False))
    ):
        if seen is not None:
            seen.setdefault("errors", []).append((at, list(error)))
        if layer[0] == "pool":
            below = [0] * len(a)
            for o, inside in windows(layer):
                for j in inside:
                    below[j] = floor(Fraction(error[o], len(inside)) + Fraction(1, 2))
        else:
            number -= 1
            kernel, bias = model[number]
            below, gradient, total = sums(layer, row["filters"], weights(kernel), a, error)
            if seen is not None:
                seen["gradient"] = max(seen.get("gradient", 0), *map(abs, gradient))
            w_shift, b_shift = (
                row["e_frac"] + row["in_frac"] + lr_shift - 14,
                row["e_frac"] + lr_shift - row["in_frac"] - 6,
            )
            after[number] = (
                moved(kernel, offsets[number][0], gradient, w_shift, 32_512, noise_key),
                moved(bias, offsets[number][1], total, b_shift, 2**24 - 1, noise_key),
            )
            if number == lowest:
                break
            s = 6 + row["e_frac"] - 10
            if feedback is not None:
                s, below = 3, [sum(b * e for b, e in zip(row_of_b, top, strict=True)) for row_of_b in feedback[at]]
            below = [int32(int32(v) + (1 << (s - 1))) >> s for v in below]
        below = [pure.clip(v, -row["below"] - 1, row["below"]) for v in below]
        error = [v if row["passes"][0] < a[j] < row["passes"][1] else 0 for j, v in enumerate(below)]
    return after


def train(layers, head, model, xs, ys, k_order, k_train, epochs, lr_shift, seen=None, feedback=None):
    t = 0
    for epoch in range(epochs):
        for sample in pure.order(len(xs), epoch, *k_order):
            model = step(layers, head, model, xs[sample], ys[sample], t, k_train, lr_shift, seen, feedback)
            t += 1
    return model
