"""A round through frames, against any body: real host sessions, and what the reference says should come out."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass

import numpy as np

from byzantiny.bodies.base import DeviceSpec
from byzantiny.wire.auth import derive_keys
from byzantiny.wire.codec import encode_offer, split_update
from byzantiny.wire.events import RoundWork, UpdateReceived
from byzantiny.wire.host import HostSession
from byzantiny.wire.messages import Offer, Reason, Verdict
from byzantiny_models import datasets
from byzantiny_models.encoding import encode
from byzantiny_models.networks import NETWORKS, initial_model
from byzantiny_models.rng import Stream, derive_key
from byzantiny_models.training import train_many

NETWORK = NETWORKS["mlp-64-32-10"]
LAYOUT = NETWORK.layout


def dataset(n, seed=0, network=NETWORK):
    rng, features, classes = np.random.default_rng(seed), network.features, network.classes
    y = rng.integers(0, classes, n)
    own = np.arange(features) % classes == y[:, None]
    x = np.clip(rng.normal(0, 12, (n, features)) + 40 * own, -128, 127).astype(np.int8)
    return datasets.pack(x, y.astype(np.uint8), classes)


def specs(count, samples=8, network=NETWORK, **changes):
    return [
        DeviceSpec(f"dev-{i:02d}", hashlib.sha256(f"secret {i}".encode()).digest(), dataset(samples, i, network),
                   network.name, address=i + 1, boot_id=100 + i, base=network.base, **changes)
        for i in range(count)
    ]  # fmt: skip


def offer_of(round_num=1, seed=7, epochs=2, lr_shift=9, base=5, l2_bound=0, model_seed=1, network=NETWORK):
    """(offer, work) of one round that starts from an initial model."""
    layout = network.layout
    model = layout.pack(initial_model(network, model_seed))
    offer = Offer(
        round_num, seed, hashlib.sha256(bytes([round_num])).digest()[:16], hashlib.sha256(model).digest(), layout.sha256,
        len(model), l2_bound, 60_000, epochs, lr_shift, layout.default_shifts(base),
    )  # fmt: skip
    return offer, RoundWork(round_num, encode_offer(offer), model)


def expected_codes(spec, offer, work):
    """The codes by the NumPy reference."""
    network = NETWORKS[spec.network].with_base(spec.base)
    start = network.layout.unpack(work.model)
    x, y, _ = datasets.unpack(spec.dataset)
    keys = {s: derive_key(offer.seed, spec.client_id, offer.round_num, s) for s in Stream}
    local = train_many(
        network,
        start[None],
        [x],
        [y],
        [keys[Stream.SAMPLE_ORDER]],
        [keys[Stream.TRAINING]],
        offer.epochs,
        offer.lr_shift,
    )[0]
    return encode(network.layout, start, local, offer.shifts, offer.l2_bound, keys[Stream.CODES])


@dataclass
class Fleet:
    """Host sessions in front of a body."""

    body: object
    specs: list

    def __post_init__(self):
        self.now = 0.0
        self.sessions = [
            HostSession(
                spec.client_id, derive_keys(spec.secret), address=spec.address, max_payload=spec.max_payload,
                rng=np.random.default_rng(i), rto_s=2.0 if self.body.realtime else 0.25,
            )
            for i, spec in enumerate(self.specs)
        ]  # fmt: skip
        self.events = []
        self.log = []

    def round(self, work, timeout_s=60.0):
        """Offer the work to all; the update object of every slot, all accepted."""
        updates = {}
        frames = []
        began = time.monotonic()

        def take(slot, step):
            frames.extend((slot, frame) for frame in step.frames)
            for event in step.events:
                self.events.append((slot, event))
                if isinstance(event, UpdateReceived):
                    updates[slot] = event.data
                    take(slot, self.sessions[slot].conclude(event.xfer, Verdict.ACCEPTED, Reason.NONE, self.now))

        for slot, session in enumerate(self.sessions):
            take(slot, session.begin(work, self.now))
        while len(updates) < len(self.specs) or frames:
            assert time.monotonic() - began < timeout_s, (
                f"after {timeout_s} s: {[(slot, type(event).__name__) for slot, event in self.events]}"
            )
            self.now = time.monotonic() - began if self.body.realtime else self.now + 0.001
            sending, frames = frames, []
            came = self.body.exchange(sending, int(self.now * 1000))
            self.log += [("down", *f) for f in sending] + [("up", *f) for f in came]
            for slot, frame in came:
                take(slot, self.sessions[slot].on_frame(frame, self.now))
            for slot, session in enumerate(self.sessions):
                if session.next_due is not None and session.next_due <= self.now:
                    take(slot, session.on_time(self.now))
        for session in self.sessions:
            session.end()
        return [updates[slot] for slot in range(len(self.specs))]


def codes_of(update):
    return np.frombuffer(split_update(update).codes, np.int8)
