"""The devices' end of MQTT: a session per device, thousands in one process, driven by the caller."""

from __future__ import annotations

import resource
import ssl
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import paho.mqtt.client as paho

from byzantiny.transport.base import Delivery
from byzantiny.transport.errors import TransportError
from byzantiny.transport.mqtt_names import LOST, BrokerUrl, MqttOptions, check_name, parse_broker_url, topic
from byzantiny.transport.paho_loop import (
    PahoLoop,
    announce,
    connect,
    make_client,
    refusal,
    silence,
    tls_context,
    topics_refused,
)

OPTIONS: Final = MqttOptions()
CONNECT_BATCH: Final = 50
"""Connections begun before their answers are read; mosquitto's accept queue holds about 100."""
SPARE_DESCRIPTORS: Final = 64


class MqttFleetLink:
    """One MQTT session per device (its own will and retained state), all on one selector.

    Frames for a device that is not connected at the moment are dropped and counted (`stats["dropped-offline"]`).
    """

    def __init__(self, broker: str, fleet: str, device_ids: Sequence[str], *, options: MqttOptions = OPTIONS) -> None:
        self.stats: Counter[str] = Counter()
        self._url: BrokerUrl = parse_broker_url(broker)
        self._fleet = check_name("fleet", fleet)
        self._options = options
        self._device_ids = tuple(check_name("client_id", device_id) for device_id in device_ids)
        self._clients: dict[str, paho.Client] = {}
        self._subscribed: set[str] = set()
        self._arrived: list[Delivery] = []
        self._failure: TransportError | None = None
        self._loop: PahoLoop | None = None

    @property
    def connected(self) -> int:
        """How many devices have a session with their topic subscribed."""
        return len(self._subscribed)

    def start(self) -> None:
        """Connect and subscribe every device; raises TransportError if one cannot."""
        if self._loop is not None:
            raise TransportError("the fleet's MQTT link is open already; close() it first")
        _allow_descriptors(len(self._device_ids))
        tls = tls_context(self._url, self._options)
        self._loop, self._failure = PahoLoop(), None
        try:
            for number, device_id in enumerate(self._device_ids, 1):
                self._clients[device_id] = self._make(device_id, self._loop, tls)
                connect(self._clients[device_id], self._url, self._options)
                if number % CONNECT_BATCH == 0:
                    self._settle(self._loop, number)
            self._settle(self._loop, len(self._device_ids))
        except BaseException:
            self.close()
            raise

    def poll(self, timeout_s: float) -> list[Delivery]:
        """Return the frames that have arrived; waits up to `timeout_s` for the first."""
        if self._loop is None:
            raise TransportError("the fleet's MQTT link is not open; call start() before poll()")
        self._loop.run_once(0.0 if self._arrived else timeout_s)
        arrived, self._arrived = self._arrived, []
        return arrived

    def send(self, client_id: str, frame: bytes) -> None:
        """Publish one frame of one device; it leaves with the next `poll` at the latest."""
        client = self._clients[client_id]
        if not client.is_connected():
            self.stats["dropped-offline"] += 1
            return
        client.publish(topic(self._fleet, client_id, "up"), frame, qos=1)
        self.stats["sent"] += 1

    def close(self) -> None:
        """Disconnect every device, leaving `lost` as its state; idempotent."""
        loop, self._loop = self._loop, None
        if loop is None:
            return
        for device_id, client in self._clients.items():
            if client.is_connected():  # a clean disconnect cancels the will
                client.publish(topic(self._fleet, device_id, "state"), LOST, qos=0, retain=True)
        loop.close()
        self._clients.clear()
        self._subscribed.clear()

    def _make(self, device_id: str, loop: PahoLoop, tls: ssl.SSLContext | None) -> paho.Client:
        state = topic(self._fleet, device_id, "state")
        client = make_client(f"byz-{self._fleet}-{device_id}", self._url, self._options, state, tls)
        loop.add(client)

        def on_connect(client: paho.Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
            if reason.is_failure:
                self._failure = self._failure or refusal(self._url, f"{device_id}: {reason}")
                return
            loop.established(client)
            client.subscribe(topic(self._fleet, device_id, "down"), 1)

        def on_subscribe(client: paho.Client, _userdata: Any, _mid: int, reasons: Any, _properties: Any) -> None:
            if any(reason.is_failure for reason in reasons):
                self._failure = self._failure or topics_refused(self._url, self._fleet)
                return
            self._subscribed.add(device_id)
            announce(client, state)

        def on_disconnect(_client: paho.Client, *_why: Any) -> None:
            self._subscribed.discard(device_id)

        def on_message(_client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
            if message.retain:
                self.stats["dropped-retained"] += 1
                return
            self.stats["received"] += 1
            self._arrived.append((device_id, bytes(message.payload)))

        client.on_connect = on_connect
        client.on_subscribe = on_subscribe
        client.on_disconnect = on_disconnect
        client.on_message = on_message
        return client

    def _settle(self, loop: PahoLoop, expected: int) -> None:
        """Run until `expected` devices are subscribed; the time allowed starts anew with every one that is."""
        seen, until = -1, 0.0
        while len(self._subscribed) < expected:
            if len(self._subscribed) != seen:
                seen, until = len(self._subscribed), time.monotonic() + self._options.timeout_s
            loop.run_once(0.2)
            if self._failure is not None:
                raise self._failure
            if time.monotonic() > until:
                if not any(client.is_connected() for client in self._clients.values()):
                    raise silence(self._url, self._options)
                raise TransportError(
                    f"{seen} of {expected} devices are connected to {self._url.endpoint}, and no more within "
                    f"{self._options.timeout_s} s; raise the broker's max_connections and its descriptor limit"
                )


def _allow_descriptors(needed: int) -> None:
    """Raise the soft limit of open descriptors where the fleet needs it; raises TransportError at the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = needed + SPARE_DESCRIPTORS
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise TransportError(
            f"{needed} devices need {wanted} descriptors, the limit of this process is {hard}; "
            "raise it (ulimit -Hn) or use fewer devices"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
