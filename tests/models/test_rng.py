"""The generator against SPEC 2's vectors, a plain-integer derivation, and golden hashes of NumPy's distributions."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byzantiny_models.errors import InvalidValueError
from byzantiny_models.rng import Stream, derive_key, draw, rng_for, sample_order, step_noise

U32 = st.integers(0, 2**32 - 1)
NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", max_size=16)


def test_draw_matches_the_specification():  # SPEC 2
    assert [int(x) for x in draw(np.arange(3), 1, 2)] == [0x5FB0F483, 0xB688BFD8, 0x6E7DCF13]


def test_key_and_noise_match_the_specification():  # SPEC 2
    key = derive_key(1, "dev-01", 1, Stream.TRAINING)
    assert key == (0x1E404739, 0xC4E40331)
    noise = step_noise(0, *key, 2410)
    assert (noise[0], noise[2409]) == (0x282F37D6, 0x4865E659)


def test_streams_have_the_numbers_of_the_specification():  # SPEC 2
    names = [
        "SAMPLE_ORDER",
        "TRAINING",
        "CODES",
        "INITIAL_MODEL",
        "COHORT",
        "PARTITION",
        "ATTACK",
        "AGGREGATION",
        "LINK",
    ]
    assert [s.name for s in sorted(Stream)] == names
    assert [int(s) for s in sorted(Stream)] == list(range(9))


@given(i=U32, k0=U32, k1=U32)
def test_draw_equals_plain_integers(pure, i, k0, k1):
    assert int(draw(i, k0, k1)) == pure.draw(i, k0, k1)


@given(seed=st.integers(0, 2**64 - 1), round_num=U32, stream=st.integers(0, 8), name=NAMES)
def test_key_equals_plain_integers(pure, seed, round_num, stream, name):
    assert derive_key(seed, name, round_num, stream) == pure.key(seed, name, round_num, stream)


def test_scalars_and_arrays_of_any_integer_type_draw_the_same_bits():
    expected = draw(np.arange(5, dtype=np.uint32), 2**32 - 1, 2**32 - 2)
    for dtype in (np.int16, np.int64, np.uint64):
        assert np.array_equal(draw(np.arange(5, dtype=dtype), -1, -2), expected)
    assert [int(draw(i, -1, -2)) for i in range(5)] == expected.tolist()
    assert draw(3, 1, 2).shape == ()


def test_draw_broadcasts_keys_over_counters():
    keys = np.array([[1], [7]])
    both = draw(np.arange(4), keys, 2)
    assert np.array_equal(both, [draw(np.arange(4), 1, 2), draw(np.arange(4), 7, 2)])


def test_draw_leaves_its_arguments_alone():
    i, k = np.arange(4, dtype=np.uint32), np.full(4, 9, dtype=np.uint32)
    draw(i, k, k)
    assert i.tolist() == [0, 1, 2, 3]
    assert k.tolist() == [9] * 4


@given(n=st.integers(0, 200), epoch=st.integers(0, 255), k0=U32, k1=U32)
def test_sample_order_is_the_specified_permutation(pure, n, epoch, k0, k1):
    assert sample_order(n, epoch, k0, k1).tolist() == pure.order(n, epoch, k0, k1)


def test_sample_order_covers_the_largest_client():
    order = sample_order(65_535, 255, 1, 2)
    assert order.dtype == np.uint16
    assert np.array_equal(np.sort(order), np.arange(65_535))


def test_epochs_clients_rounds_and_streams_visit_in_different_orders():
    keys = [derive_key(s, c, r, t) for s in (1, 2) for c in ("a", "b") for r in (1, 2) for t in Stream]
    assert len(set(keys)) == len(keys)
    assert sample_order(50, 0, 1, 2).tolist() != sample_order(50, 1, 1, 2).tolist()


@pytest.mark.parametrize("bad", ["UPPER", "under_score", "seventeen-letters", "ü", "a\n", "a\0"])
def test_a_client_id_outside_the_alphabet_is_refused(bad):
    with pytest.raises(InvalidValueError, match="rename"):
        derive_key(1, bad, 1, Stream.CODES)


@pytest.mark.parametrize("field", [{"seed": -1}, {"seed": 2**64}, {"round_num": 2**32}, {"stream": 256}])
def test_a_field_beyond_its_width_is_refused(field):
    with pytest.raises(InvalidValueError, match="outside 0"):
        derive_key(**{"seed": 1, "client_id": "", "round_num": 0, "stream": 0, **field})


def test_too_many_samples_are_refused():
    with pytest.raises(InvalidValueError, match="65536"):
        sample_order(65_536, 0, 1, 2)


# Computed with numpy 1.26.4 and 2.4.6 alike: SPEC 2 relies on their agreement.
GOLDEN = {
    "permutation": (lambda g: g.permutation(1000).astype("<i8"), "62ab859b74e7ec37"),
    "choice": (lambda g: g.choice(1000, size=100, replace=False).astype("<i8"), "fa6e4d0720012d8d"),
    "weighted choice": (lambda g: g.choice(10, size=100, p=np.arange(1, 11) / 55).astype("<i8"), "708fb1f2c55e1cc9"),
    "dirichlet": (lambda g: g.dirichlet(np.full(20, 0.5), size=10).astype("<f8"), "0f49a78e99e22dd4"),
    "dirichlet, small alpha": (lambda g: g.dirichlet(np.full(20, 0.05), size=10).astype("<f8"), "b40a6e05f8c05150"),
    "normal": (lambda g: g.normal(size=1000).astype("<f8"), "8a1344f096b521ca"),
    "integers": (lambda g: g.integers(0, 1000, size=1000).astype("<i8"), "b04adf8233ae2d18"),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_distributions_are_pinned(name):
    sample, expected = GOLDEN[name]
    generator = rng_for(7, Stream.PARTITION, round_num=3, client_id="dev-01")
    assert hashlib.sha256(np.ascontiguousarray(sample(generator)).tobytes()).hexdigest()[:16] == expected


def test_bits_and_pairs_of_neighbouring_counters_are_balanced():
    noise = step_noise(3, 1, 2, 200_000)
    bits = np.unpackbits(noise.view(np.uint8).reshape(-1, 4), axis=1)
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 5 * 0.5 / np.sqrt(len(noise))
    flips = np.unpackbits((noise[1:] ^ noise[:-1]).view(np.uint8).reshape(-1, 4), axis=1)
    assert np.abs(flips.mean(axis=0) - 0.5).max() < 5 * 0.5 / np.sqrt(len(noise))
