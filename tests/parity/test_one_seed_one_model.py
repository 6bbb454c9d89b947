"""P1: one seed, one model. Every body and every transport, alone and mixed, against the NumPy reference in memory.

The reference is computed once per defence; a test compares the SHA-256 of the global model after each of 20 rounds, for
three seeds. Pairwise: the bodies in memory, the transports with the native body, then everything at once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .native_ports import plug_in

ROUNDS = 20
SEEDS = (1, 2, 3)
SIZES = {"a": 1, "b": 1, "c": 16}
"""Groups by prefix; eighteen clients leave each about eighty samples, so that an emulated board is soon through."""

DEFENCES: dict[str, dict[str, Any]] = {
    "mean": {},
    "median": {"defence": {"pipeline": [{"name": "median"}], "f_declared": 2}},
    "median-attacked": {
        "defence": {"pipeline": [{"name": "median"}], "f_declared": 2},
        "attack": {"name": "sign-flip", "byzantine": ["a-01", "b-01"], "params": {"scale": 3.0}, "start_round": 3},
    },
    "median-alie": {
        "defence": {"pipeline": [{"name": "median"}], "f_declared": 2},
        "attack": {"name": "alie", "byzantine": ["a-01", "b-01"], "params": {"z": 1.5}, "start_round": 3},
    },
}
NUMPY = {"body": "numpy"}
NATIVE = {"body": "native"}

Models = dict[int, list[str]]


def table(what: str, a: Any = NATIVE, b: Any = NATIVE, c: Any = NATIVE, **changes: Any) -> dict[str, Any]:
    """One of DEFENCES, with a body and a transport for each group; the clients' names are always the same."""
    groups = zip(SIZES.items(), (a, b, c), strict=True)
    return {
        "rounds": ROUNDS,
        "seeds": list(SEEDS),
        "partition": {"name": "dirichlet", "alpha": 20.0, "min_samples": 16},
        "clients": [{"prefix": prefix, "count": count, **group} for (prefix, count), group in groups],
        **DEFENCES[what],
        **changes,
    }


def board(core: str, transport: str = "memory") -> dict[str, Any]:
    """A group of emulated boards, whose images have buffers for 240 bytes."""
    return {"body": core, "transport": transport, "payload_bytes": 240}


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """The reference's products are small: BLAS threads only get into each other's way."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        yield
        return
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def models_of(run_in, tmp_path_factory) -> Callable[..., Models]:
    """Run a table; return the SHA-256 of the model after every round, by seed."""

    def run(what: dict[str, Any], **engine: Any) -> Models:
        outcome = run_in(what, tmp_path_factory.mktemp("parity") / "run", **engine)
        found = {}
        for seed in what["seeds"]:
            rows = outcome.rows(seed=seed)
            assert [row["outcome"] for row in rows] == ["aggregated"] * what["rounds"]
            assert {row["accepted"] for row in rows} == {sum(SIZES.values())}, "P1 is about equal accepted sets"
            found[seed] = [row["model_sha256"] for row in rows]
            assert len(set(found[seed])) == what["rounds"], "a model that stands still would prove nothing"
        return found

    return run


@pytest.fixture(scope="module")
def reference(models_of) -> Callable[[str], Models]:
    """The models of one of DEFENCES with every client on the NumPy body, in memory."""
    return functools.cache(lambda what: models_of(table(what, NUMPY, NUMPY, NUMPY)))


def test_seeds_and_defences_give_different_models(reference):
    firsts = [reference(what)[seed][-1] for what in ("mean", "median") for seed in SEEDS]
    assert len(set(firsts)) == len(firsts)


@pytest.mark.parametrize("what", ["mean", "median"])
def test_the_native_body_is_the_reference(models_of, reference, what):
    assert models_of(table(what)) == reference(what)


def test_native_and_numpy_clients_mix(models_of, reference):
    assert models_of(table("median-attacked", NUMPY, NATIVE, NATIVE)) == reference("median-attacked")


@pytest.mark.parametrize("core", ["unicorn-m0", "unicorn-m3", "unicorn-m4f"])
@pytest.mark.usefixtures("unicorn")
def test_an_emulated_core_is_the_reference(models_of, reference, core):
    assert models_of(table("median", board(core))) == reference("median")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.usefixtures("qemu")
def test_qemu_is_the_reference(models_of, reference, seed):
    assert models_of(table("median", board("qemu"), seeds=[seed])) == {seed: reference("median")[seed]}


@pytest.mark.usefixtures("mosquitto")
@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_mqtt_is_memory(models_of, reference, version):
    mqtt = NATIVE | {"transport": "mqtt"}
    seeds = SEEDS if version == "3.1.1" else SEEDS[:1]
    found = models_of(table("mean", mqtt, mqtt, mqtt, mqtt={"version": version}, seeds=list(seeds)))
    assert found == {seed: reference("mean")[seed] for seed in seeds}


def test_serial_is_memory(models_of, reference, tmp_path, monkeypatch):
    """Every client a port of its own, the native library behind it."""
    plug_in(monkeypatch, tmp_path)
    assert models_of(table("mean", *[NATIVE | {"transport": "serial"}] * 3)) == reference("mean")


@pytest.mark.usefixtures("unicorn")
def test_a_board_on_a_serial_port_is_memory(models_of, reference):
    assert models_of(table("mean", board("unicorn-m4f", "serial"))) == reference("mean")


@pytest.mark.usefixtures("unicorn", "mosquitto")
@pytest.mark.parametrize("attacked", ["median-attacked", "median-alie"])
def test_a_mixed_fleet_with_liars_on_both_transports_is_the_reference(models_of, reference, attacked):
    """A relay in front of a native client on MQTT, another in front of a board on a serial port, NumPy beside them.

    With ALIE they meet in the hub, in two threads, and know everybody's codes.
    """
    seeds = SEEDS if attacked == "median-attacked" else SEEDS[:1]
    mixed = table(
        attacked,
        board("unicorn-m4f", "serial"),
        NATIVE | {"transport": "mqtt"},
        NUMPY | {"transport": "mqtt"},
        seeds=list(seeds),
    )
    assert models_of(mixed) == {seed: reference(attacked)[seed] for seed in seeds}


def test_the_order_in_which_frames_come_is_nothing_to_the_adversary(models_of, reference):
    faults = {"drop": 0.1, "duplicate": 0.1, "reorder": 0.2, "delay_s": 0.01}
    assert models_of(table("median-alie", link=faults, seeds=[2])) == {2: reference("median-alie")[2]}


@pytest.mark.parametrize(
    "faults",
    [
        {"drop": 0.15},
        {"duplicate": 0.3, "reorder": 0.3},
        {"corrupt": 0.15, "delay_s": 0.02},
        {"drop": 0.1, "duplicate": 0.1, "reorder": 0.1, "corrupt": 0.1},
    ],
    ids=lambda faults: "-".join(faults),
)
def test_a_bad_link_changes_nothing(models_of, reference, faults):
    seeds = SEEDS if len(faults) == 4 else SEEDS[:1]
    found = models_of(table("median-attacked", link=faults, seeds=list(seeds)))
    assert found == {seed: reference("median-attacked")[seed] for seed in seeds}


def test_a_small_payload_changes_nothing(models_of, reference):
    small = NATIVE | {"payload_bytes": 64}
    assert models_of(table("mean", small, small, small, seeds=[1])) == {1: reference("mean")[1]}


def test_the_embedded_broker_carries_a_few_rounds(models_of, reference):
    pytest.importorskip("amqtt", reason="the embedded broker needs the extra `broker` (amqtt)")
    from byzantiny.transport.brokers import private_amqtt

    mqtt = NATIVE | {"transport": "mqtt"}
    with private_amqtt() as broker:
        found = models_of(table("mean", mqtt, mqtt, mqtt, seeds=[1], rounds=2), broker=broker.url)
    assert found == {1: reference("mean")[1][:2]}
