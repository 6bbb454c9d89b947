"""The fleet on MQTT: one thread, one selector, however many devices."""

from __future__ import annotations

import threading
from collections.abc import Callable

from byzantiny.fleet.fleet import Fleet
from byzantiny.transport.mqtt_fleet import MqttFleetLink

_IDLE_S = 0.05
_REALTIME_S = 0.002


class FleetThread:
    """Drives a fleet over MQTT until it is stopped; an exception inside is kept and raised by `check`."""

    def __init__(self, fleet: Fleet, link: MqttFleetLink, clock: Callable[[], float]) -> None:
        self._fleet = fleet
        self._link = link
        self._clock = clock
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="byzantiny-fleet", daemon=True)

    def start(self) -> None:
        """Connect every device; returns once the thread runs."""
        self._link.start()
        self._thread.start()

    def check(self) -> None:
        """Raise what ended the thread, if something did."""
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Disconnect every device and close the bodies; idempotent."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10.0)
        self._link.close()
        self._fleet.close()

    def _run(self) -> None:
        try:
            self._send(self._fleet.exchange([], self._clock()))
            while not self._stop.is_set():
                arrived = self._link.poll(self._wait_s())
                self._send(self._fleet.exchange(arrived, self._clock()))
        except BaseException as error:
            self._error = error

    def _send(self, frames: list[tuple[str, bytes]]) -> None:
        for client_id, frame in frames:
            self._link.send(client_id, frame)

    def _wait_s(self) -> float:
        if self._fleet.realtime or self._fleet.waiting:
            return _REALTIME_S
        due = self._fleet.next_due
        return _IDLE_S if due is None else min(_IDLE_S, max(0.0, due - self._clock()))
