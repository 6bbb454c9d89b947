"""A tap that uploads objects of its own in clients' names, as soon as a round is announced to them."""

from __future__ import annotations

from abc import abstractmethod

from byzantiny.attacks.frames import LinkScene, Passed, Wiretap, read
from byzantiny.attacks.link.uploader import Uploader
from byzantiny.wire.messages import HelloAck, Round

CHUNK = 64
"""The least DATA maximum there is, so that no terms are broken."""


class Intruder(Wiretap):
    """Calls `objects` when the coordinator announces a round to a client, once a round, and uploads what it returns.

    The coordinator's answers to these uploads do not reach the device.
    """

    def __init__(self, scene: LinkScene) -> None:
        self.scene = scene
        self._queues: dict[str, list[Uploader]] = {}
        self._seen: dict[str, int] = {}
        self._chunks: dict[str, int] = {}

    @abstractmethod
    def objects(self, client_id: str, announced: Round) -> list[bytes]:
        """Return the objects to upload in this client's name, one after the other."""

    def down(self, client_id: str, frame: bytes, now: float) -> Passed:
        """Take a frame of the coordinator: an answer to an upload, or the announcement that begins one."""
        queue = self._queues.get(client_id, [])
        answers = queue[0].on_down(frame) if queue else None
        if answers is not None:
            if queue[0].done:
                queue.pop(0)
                answers += [queue[0].first()] if queue else []
            return Passed(up=tuple((client_id, each) for each in answers))
        passed = Passed(down=((client_id, frame),))
        read_ = read(frame, up=False)
        message = None if read_ is None else read_.message
        if isinstance(message, HelloAck):
            self._chunks[client_id] = message.max_payload
        if not isinstance(message, Round) or self._seen.get(client_id) == message.round_num:
            return passed
        self._seen[client_id] = message.round_num
        blobs = self.objects(client_id, message) if self.scene.during(message.round_num) else []
        self._queues[client_id] = [self._uploader(client_id, message.round_num, blob) for blob in blobs]
        if not blobs:
            return passed
        return passed.and_(Passed(up=((client_id, self._queues[client_id][0].first()),)))

    def _uploader(self, client_id: str, round_num: int, blob: bytes) -> Uploader:
        xfer = int(self.scene.rng.integers(1, 1 << 32))
        return Uploader(self.scene.addresses[client_id], xfer, round_num, blob, self._chunks.get(client_id, CHUNK))
