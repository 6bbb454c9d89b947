"""The contract of attacks that exist on a wire alone: what they make of an object, and of frames."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

from byzantiny.attacks import ForgeContext, LinkAttack, ManifestAttack, Upload, Wiretap
from byzantiny.attacks.frames import read
from byzantiny.testing.attack_cases import NETWORK
from byzantiny.testing.promises import ContractError, hold
from byzantiny.testing.purity import generators
from byzantiny.testing.wire_talk import HELD, keys_of, offer_of, scene, talk
from byzantiny.wire.codec import encode_offer, max_frame_bytes
from byzantiny.wire.messages import PAYLOAD_SIZES

_MOST_BYTES = 1 << 20
_ROUNDS = 4


def check_manifest_attack(factory: Callable[[], ManifestAttack]) -> None:
    """Raise ContractError, naming the promise, unless what it uploads is a pure function of what its device has."""
    attack: Any = factory()
    past: list[Upload] = []
    for round_num in range(1, 10):
        context, again = _forge_context(round_num, past), _forge_context(round_num, past)
        moved = generators()
        try:
            uploads = attack.forge(context)
        except ValueError as error:
            raise ContractError(attack.name, "input", f"it writes to its context: {error}") from error
        hold(generators() == moved, attack.name, "randomness", "a global generator has moved; draw from `context.rng`")
        fits = isinstance(uploads, tuple) and all(
            isinstance(each, Upload) and 0 < len(each.blob) <= _MOST_BYTES for each in uploads
        )
        hold(fits, attack.name, "result", f"{type(uploads).__name__} of something else than uploads")
        hold(uploads == factory().forge(again), attack.name, "determinism", "equal contexts, different objects")
        past.append(context.seal())


def check_link_attack(factory: Callable[[], LinkAttack]) -> None:
    """Raise ContractError, naming the promise, unless its taps act where and when they may, and alike."""
    attack: Any = factory()
    honest = talk(Wiretap(), _ROUNDS)
    moved = generators()
    said = [talk(factory().tap(scene()), _ROUNDS) for _ in range(2)]
    hold(generators() == moved, attack.name, "randomness", "a global generator has moved; draw from `scene.rng`")
    hold(said[0] == said[1], attack.name, "determinism", "equal scenes, different frames")
    longest = max_frame_bytes(PAYLOAD_SIZES[-1])
    for way, frames in ((True, said[0].up), (False, said[0].down)):
        bad = [frame for _, frame in frames if len(frame) > longest or read(frame, up=way) is None]
        hold(not bad, attack.name, "wire", "it sends what is no frame")
    others = {key: blob for key, blob in said[0].received.items() if key[1] not in HELD}
    fine = others == {key: blob for key, blob in honest.received.items() if key[1] not in HELD}
    hold(fine, attack.name, "knowledge", "clients whose links it does not hold are not as they were")
    for name, window in (("before its first round", scene(start=9)), ("after its last", scene(start=1, stop=0))):
        quiet = talk(factory().tap(window), _ROUNDS)
        hold(quiet.received == honest.received, attack.name, "window", f"{name} updates are not as they were")
    if "keys" in attack.info.needs:
        blind = talk(factory().tap(scene(keys=False)), _ROUNDS)
        hold(blind.received == honest.received, attack.name, "needs", "it acts without the keys its card says it needs")


def _forge_context(round_num: int, past: list[Upload]) -> ForgeContext:
    offer = offer_of(round_num, bytes(NETWORK.layout.model_bytes))
    codes = np.random.default_rng(round_num).integers(-9, 10, NETWORK.layout.d).astype(np.int8)
    codes.setflags(write=False)
    digest = hashlib.sha256(encode_offer(offer)).digest()
    rng = np.random.default_rng(5)
    return ForgeContext("c-2", keys_of("c-2"), offer, digest, 24, codes, rng, tuple(past[-8:]))
