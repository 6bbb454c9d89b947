"""Each trainer against a derivation of its own, in Python integers and loops, and all of them side by side on digits."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byzantiny_models.errors import InvalidValueError
from byzantiny_models.networks import NETWORKS, Dense, Network, initial_model
from byzantiny_models.rng import Stream, derive_key
from byzantiny_models.tasks import load_task
from byzantiny_models.trainers import TRAINERS, Job, niti
from byzantiny_models.trainers.dfa import feedback
from byzantiny_models.training import accuracy, train

SIZES = st.sampled_from([[4, 3, 2], [7, 5, 10], [6, 5, 4, 3], [5, 3], [1, 1, 1]])
RATES = st.integers(4, 14)
SEED = st.integers(0, 2**32 - 1)


def network(sizes):
    last = len(sizes) - 2
    layers = [Dense(n, m, "linear" if i == last else "relu") for i, (n, m) in enumerate(itertools.pairwise(sizes))]
    return Network("-".join(map(str, sizes)), tuple(layers))


def job(sizes, seed, lr_shift, samples=5, epochs=2):
    """A client whose model and samples lie at their limits here and there."""
    rng, net = np.random.default_rng(seed), network(sizes)
    limits = net.layout.limits.astype(np.int64)
    spread = rng.choice([64, 2048, 32_512], size=len(limits))
    model = np.clip(rng.integers(-spread, spread + 1), -limits, limits)
    model = np.where(rng.random(len(limits)) < 0.2, np.sign(model) * limits, model).astype(np.int32)
    x = np.where(
        rng.random((samples, sizes[0])) < 0.3, rng.choice([-128, 0, 127]), rng.integers(-128, 128, (samples, sizes[0]))
    )
    keys = [tuple(int(v) for v in rng.integers(0, 2**32, 2)) for _ in range(2)]
    return Job(net, model, x.astype(np.int8), rng.integers(0, net.classes, samples), *keys, epochs, lr_shift)


def kernels_of(sizes):
    """Where the kernels lie in a flat model: offset, rows, fan_in."""
    offset = 0
    for n, m in itertools.pairwise(sizes):
        yield offset, m, n
        offset += n * m + m


def clip(v, low, high):
    return max(low, min(v, high))


def steps_of(pure, work):
    """Which samples a client visits, and when."""
    visits = itertools.chain.from_iterable(
        pure.order(len(work.y), epoch, *work.key_order) for epoch in range(work.epochs)
    )
    return list(enumerate(visits))


@settings(max_examples=25, deadline=None)
@given(sizes=SIZES, seed=SEED, lr_shift=RATES)
def test_int8_sr_by_name_is_what_every_body_trains(sizes, seed, lr_shift):
    work = job(sizes, seed, lr_shift)
    trained = TRAINERS["int8-sr"].train(work)
    direct = train(
        work.network, work.start, work.x, work.y, work.key_order, work.key_train, epochs=work.epochs, lr_shift=lr_shift
    )
    assert trained.local.tolist() == direct.tolist()
    assert trained.start.tolist() == work.start.tolist()


def int8_only_step(pure, sizes, model, x, y, t, key, lr_shift):
    """`w8 -= floor((e a + u) / 2^(s + 8))`, u uniform below 2^(s + 8), s that of a master; biases as in INT8-SR."""
    record = pure.step(sizes, model, x, y, t, key, lr_shift)
    after, inputs = list(record["model_after"]), [list(x), *(layer["out"] for layer in record["layers"])]
    a_key, b_key = record["noise_key"]
    for layer, (offset, rows, fan_in) in enumerate(kernels_of(sizes)):
        shift = (7 if layer == len(sizes) - 2 else 10) + (6 if layer == 0 else 5) + lr_shift - 14 + 8
        for o, j in itertools.product(range(rows), range(fan_in)):
            i = offset + o * fan_in + j
            product = record["layers"][layer]["error"][o] * inputs[layer][j]
            noise = pure.draw(i, a_key, b_key) >> (32 - shift)
            after[i] = 256 * clip(model[i] // 256 - math.floor((product + noise) / 2**shift), -127, 127)
    return after


@settings(max_examples=40, deadline=None)
@given(sizes=SIZES, seed=SEED, lr_shift=RATES)
def test_int8_only_follows_its_formula_and_has_no_finer_weight_than_int8(pure, sizes, seed, lr_shift):
    work = job(sizes, seed, lr_shift)
    trained = TRAINERS["int8-only"].train(work)
    model = [int(v) for v in work.start]
    for offset, rows, fan_in in kernels_of(sizes):
        for i in range(offset, offset + rows * fan_in):
            model[i] = 256 * min(127, (model[i] + 128) // 256)
    assert trained.start.tolist() == model
    for t, i in steps_of(pure, work):
        x = [int(v) for v in work.x[i]]
        model = int8_only_step(pure, sizes, model, x, int(work.y[i]), t, work.key_train, lr_shift)
    assert trained.local.tolist() == model
    for offset, rows, fan_in in kernels_of(sizes):
        weights = trained.local[offset : offset + rows * fan_in]
        assert not (weights % 256).any()
        assert np.abs(weights).max() <= 127 * 256


def dfa_step(pure, sizes, matrices, model, x, y, t, key, lr_shift):
    """A step whose hidden errors are `(sum_o e_o B[o, j] + 4) >> 3`, e Q7 and B Q6 to Q10, 0 where a is at a clamp."""
    record = pure.step(sizes, model, x, y, t, key, lr_shift)
    after, inputs = list(model), [list(x), *(layer["out"] for layer in record["layers"])]
    a_key, b_key = record["noise_key"]
    outermost = record["layers"][-1]["error"]
    for layer, (offset, rows, fan_in) in enumerate(kernels_of(sizes)):
        error, frac, a_frac = outermost, 7, 6 if layer == 0 else 5
        if layer < len(sizes) - 2:
            sums = [
                sum(e * int(row[j]) for e, row in zip(outermost, matrices[layer], strict=True)) for j in range(rows)
            ]
            alive = [0 < a < 127 for a in inputs[layer + 1]]
            error = [
                clip((v + 4) // 8, -(2**15), 2**15 - 1) if live else 0 for v, live in zip(sums, alive, strict=True)
            ]
            frac = 10
        for o, j in itertools.product(range(rows), range(fan_in)):
            i = offset + o * fan_in + j
            moved = pure.sr(error[o] * inputs[layer][j], frac + a_frac + lr_shift - 14, pure.draw(i, a_key, b_key))
            after[i] = clip(model[i] - moved, -32_512, 32_512)
        for i in range(offset + rows * fan_in, offset + rows * fan_in + rows):
            step = pure.sr(
                error[i - offset - rows * fan_in], frac + lr_shift - (a_frac + 6), pure.draw(i, a_key, b_key)
            )
            after[i] = clip(model[i] - step, -(2**24 - 1), 2**24 - 1)
    return after


@settings(max_examples=40, deadline=None)
@given(sizes=SIZES, seed=SEED, lr_shift=RATES)
def test_dfa_follows_its_formula(pure, sizes, seed, lr_shift):
    work = job(sizes, seed, lr_shift)
    model, matrices = [int(v) for v in work.start], feedback(work.network)
    assert [matrix.shape for matrix in matrices] == [(sizes[-1], hidden) for hidden in sizes[1:-1]]
    for t, i in steps_of(pure, work):
        x = [int(v) for v in work.x[i]]
        model = dfa_step(pure, sizes, matrices, model, x, int(work.y[i]), t, work.key_train, lr_shift)
    assert TRAINERS["dfa"].train(work).local.tolist() == model


def test_feedback_matrices_are_fixed_spread_and_different():
    first, second = feedback(network([8, 40, 40, 10]))
    assert not np.array_equal(first, second)
    assert np.array_equal(first, feedback(network([8, 40, 40, 10]))[0])
    bound = 64 * math.sqrt(6 / 40)  # He's uniform bound, Q6
    assert bound / 2 < np.abs(first).max() <= math.ceil(bound)
    assert first.std() == pytest.approx(bound / math.sqrt(3), rel=0.2)


def half_up(v, s):
    """A sum to nearest, as the trainer's errors are: `(v + 2^(s-1)) >> s`."""
    return v if s == 0 else (v + 2 ** (s - 1)) // 2**s


def psto(v, s):
    """PstoShift as the paper has it: truncate; of the s dropped bits the upper are the chance, the lower the draw."""
    if s <= 0:
        return clip(v, -127, 127)
    whole = int(math.copysign(abs(v) // 2**s, v))
    dropped = abs(v) - abs(whole) * 2**s
    chance, number = dropped // 2 ** (s // 2), dropped % 2 ** (s // 2)
    if s % 2 == 1:
        number *= 2
    sign = (v > 0) - (v < 0)
    return clip(whole + sign * (chance > number), -127, 127)


def niti_loss(row, e, label):
    """One row of NITI's integer softmax cross-entropy, in Python integers."""
    if e > -7:
        scaled = [v * 47274 // 2**15 for v in row]
        scaled = [v * 2**e if e >= 0 else v // 2**-e for v in scaled]
        top = max(scaled)
        g = [2 ** max(v - (top - 10), 0) - 1 for v in scaled]
    else:
        g = [2 ** (1 - 2 * e) + v * 2 ** (1 - e) + v * v for v in row]
    total = sum(g)
    g = [v * 2**11 // total for v in g]
    g[label] -= sum(g)
    return [psto(v, 4) for v in g]


def niti_narrow(rows):
    bits = max(abs(v) for row in rows for v in row).bit_length()
    shift = max(0, bits - 7)
    return [[clip(half_up(v, shift), -127, 127) for v in row] for row in rows], shift


def niti_step(kernels, xs, ys, mu):
    a, e, inputs = xs, -6, [xs]
    for number, kernel in enumerate(kernels):
        acc = [[sum(w * v for w, v in zip(out, row, strict=True)) for out in kernel] for row in a]
        a, shift = niti_narrow(acc)
        e += shift - 6
        if number < len(kernels) - 1:
            a = [[max(v, 0) for v in row] for row in a]
        inputs.append(a)
    error = [niti_loss(row, e, label) for row, label in zip(a, ys, strict=True)]
    after = list(kernels)
    for number in reversed(range(len(kernels))):
        kernel, seen = kernels[number], inputs[number]
        size = range(len(kernel)), range(len(kernel[0]))
        grad = [[sum(d[o] * v[j] for d, v in zip(error, seen, strict=True)) for j in size[1]] for o in size[0]]
        s = max(abs(v) for row in grad for v in row).bit_length() - mu
        after[number] = [
            [clip(w - psto(g, s), -127, 127) for w, g in zip(*rows, strict=True)]
            for rows in zip(kernel, grad, strict=True)
        ]
        if number:
            sums = [[sum(d[o] * kernel[o][j] for o in size[0]) for j in size[1]] for d in error]
            narrowed, _ = niti_narrow(sums)
            error = [[d * (v > 0) for d, v in zip(*rows, strict=True)] for rows in zip(narrowed, seen, strict=True)]
    return after


@settings(max_examples=60, deadline=None)
@given(sizes=SIZES, seed=SEED, lr_shift=RATES)
def test_niti_follows_its_formula_batch_by_batch_and_leaves_biases_alone(pure, sizes, seed, lr_shift):
    work = job(sizes, seed, lr_shift, samples=19)
    trained = TRAINERS["niti"].train(work)
    model, kernels = [int(v) for v in work.start], []
    for offset, rows, fan_in in kernels_of(sizes):
        cells = [min(127, (v + 128) // 256) for v in model[offset : offset + rows * fan_in]]
        kernels.append([cells[o * fan_in : (o + 1) * fan_in] for o in range(rows)])
    for epoch in range(work.epochs):
        order = pure.order(19, epoch, *work.key_order)
        for batch in (order[:16], order[16:]):
            xs, ys = [[int(v) for v in work.x[i]] for i in batch], [int(work.y[i]) for i in batch]
            kernels = niti_step(kernels, xs, ys, max(1, 8 - lr_shift))
    for (offset, rows, fan_in), kernel in zip(kernels_of(sizes), kernels, strict=True):
        model[offset : offset + rows * fan_in] = [256 * w for row in kernel for w in row]
    assert trained.local.tolist() == model


@given(v=st.integers(-(2**40), 2**40), s=st.integers(0, 34))
def test_pseudo_stochastic_rounding_is_that_of_the_paper(v, s):
    assert niti.pseudo_stochastic(np.array([v]), s).tolist() == [psto(v, s)]


def test_pseudo_stochastic_rounding_of_uniform_bits_is_nearly_unbiased():
    x = np.arange(100 << 8)
    assert np.mean(niti.pseudo_stochastic(x, 8) - x / 256) == pytest.approx(0, abs=0.04)
    assert np.array_equal(niti.pseudo_stochastic(-x, 8), -niti.pseudo_stochastic(x, 8))


@given(row=st.lists(st.integers(-127, 127), min_size=2, max_size=10), e=st.integers(-12, 12), data=st.data())
def test_niti_s_loss_is_that_of_the_paper_pulls_towards_the_label_and_stays_int8(row, e, data):
    label = data.draw(st.integers(0, len(row) - 1))
    error = niti.loss_error(np.array([row]), e, np.array([label]))[0]
    assert error.tolist() == niti_loss(row, e, label)
    assert np.abs(error).max() <= 127
    assert error[label] <= 0
    assert all(v >= 0 for i, v in enumerate(error) if i != label)


@pytest.mark.parametrize("name", TRAINERS)
@pytest.mark.parametrize("value", [-128, 127])
def test_no_trainer_leaves_the_limits_from_a_model_at_its_limits(name, value):
    net = network([600, 300, 10])
    sign = np.where(np.arange(net.layout.d) % 2, 1, -1)
    for start in (net.layout.limits, -net.layout.limits, sign * net.layout.limits):
        x, y = np.full((17, 600), value, dtype=np.int8), np.arange(17) % 10
        with np.errstate(over="raise", invalid="raise"):
            trained = TRAINERS[name].train(Job(net, start.astype(np.int32), x, y, (1, 2), (3, 4), 1, 4))
        assert (np.abs(trained.local) <= net.layout.limits).all()
        assert trained.local.dtype == trained.start.dtype == np.int32


@pytest.mark.parametrize("name", TRAINERS)
def test_a_trainer_is_a_function_of_its_job_and_leaves_it_alone(name):
    work = job([7, 6, 5, 10], 3, 5, samples=9)
    before = work.start.copy(), work.x.copy()
    first, second = TRAINERS[name].train(work), TRAINERS[name].train(work)
    assert first.local.tolist() == second.local.tolist()
    assert first.start.tolist() == second.start.tolist()
    assert np.array_equal(work.start, before[0])
    assert np.array_equal(work.x, before[1])
    assert first.local.tolist() != first.start.tolist()


def test_a_float32_step_is_the_gradient_of_softmax_cross_entropy_on_the_grid():
    net, x = network([2, 2]), np.array([[64, -32]], dtype=np.int8)
    start = np.array([0, 0, 0, 0, 0, 0], dtype=np.int32)
    local = TRAINERS["float32"].train(Job(net, start, x, np.array([1]), (1, 2), (3, 4), 1, 5)).local
    # e = (1/2, -1/2), a = (1, -1/2), rate 1/32: w moves by -e a / 32, 2^14 a unit; the bias (frac 12) by -e / 32.
    assert local.tolist() == [-256, 128, 256, -128, -64, 64]


def test_a_float32_client_visits_its_samples_in_int8_sr_s_order(pure):
    work = job([4, 3], 8, 4, samples=6, epochs=1)
    one_by_one = Job(
        work.network,
        np.zeros(15, dtype=np.int32),
        np.eye(6, 4, dtype=np.int8) * 64,
        work.y,
        work.key_order,
        (0, 0),
        1,
        4,
    )
    w, b = np.zeros((3, 4)), np.zeros(3)
    for i in pure.order(6, 0, *work.key_order):
        p = np.exp(w @ (one_by_one.x[i] / 64) + b)
        e = p / p.sum() - np.eye(3)[work.y[i]]
        w, b = w - np.outer(e, one_by_one.x[i] / 64) / 16, b - e / 16
    expected = [*np.rint(w.ravel() * 2**14), *np.rint(b * 2**12)]
    assert TRAINERS["float32"].train(one_by_one).local == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("name", ["niti", "dfa"])
def test_a_trainer_refuses_a_network_it_cannot_train_by_name(name):
    net = NETWORKS["mlp-64-32-10"]
    for wrong in (NETWORKS["cnn-8x8"], NETWORKS["autoencoder-32"], net.scoped("last-layer", initial_model(net, 1))):
        with pytest.raises(InvalidValueError, match=rf"trainer {name} on {wrong.name}: .*choose int8-sr"):
            TRAINERS[name].check(wrong)
    TRAINERS[name].check(net)


def test_every_trainer_that_says_so_trains_convolutions_and_frozen_networks():
    whole = NETWORKS["cnn-8x8"]
    for net in (whole, whole.scoped("last-layer", initial_model(whole, 1))):
        x, y = np.full((2, 64), 32, dtype=np.int8), np.array([1, 2])
        for trainer in TRAINERS.values():
            if trainer.networks == "all":
                trainer.check(net)
                trained = trainer.train(Job(net, initial_model(net, 1), x, y, (1, 2), (3, 4), 1, 4))
                assert trained.local.shape == (net.layout.d,)


@pytest.fixture(scope="module")
def central():
    """Accuracies on digits after 5 epochs, 2 seeds, one job a trainer: centralised."""
    task = load_task("digits")

    def mean(name, epochs=5, lr_shift=5):
        scores = []
        for seed in (1, 2):
            order, noise = (derive_key(seed, "central", 1, s) for s in (Stream.SAMPLE_ORDER, Stream.TRAINING))
            work = Job(
                task.network,
                initial_model(task.network, seed),
                task.train_x,
                task.train_y,
                order,
                noise,
                epochs,
                lr_shift,
            )
            scores.append(accuracy(task.network, TRAINERS[name].train(work).local, task.test_x, task.test_y))
        return float(np.mean(scores))

    return {name: mean(name) for name in TRAINERS} | {"niti, 10 epochs of 2^-6": mean("niti", 10, 6)}


def test_the_integer_trainers_stand_on_digits_where_the_literature_has_them(central):
    assert central["int8-sr"] >= central["float32"] - 0.02
    assert central["int8-only"] >= central["float32"] - 0.03
    assert central["int8-sr"] > 0.93
    assert central["int8-sr"] - 0.01 > central["dfa"] > 0.5
    assert central["niti, 10 epochs of 2^-6"] > 0.9
