"""The coordinator's end of MQTT: one client, one thread, every device of a fleet."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any, Final

import paho.mqtt.client as paho

from byzantiny.transport.base import Inbox
from byzantiny.transport.errors import TransportError
from byzantiny.transport.mqtt_names import COORDINATOR, MqttOptions, check_name, device_of, parse_broker_url, topic
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
from byzantiny.wire.messages import OVERHEAD_BYTES, PAYLOAD_SIZES

OPTIONS: Final = MqttOptions()


class MqttTransport:
    """Frames to and from the devices of one fleet, one PUBLISH each.

    QoS 1 is not delivery: a frame may be lost when the connection is, and the wire's own receipts recover it. What is
    published while the broker is away is dropped and counted, never queued.

    `stats` counts `received`, `sent`, and what was dropped: `dropped-topic` (no such device), `dropped-retained` (a
    frame is never retained, so it is none), `dropped-length`, `dropped-offline`. `states` is what the state topics say.
    """

    name = "mqtt"
    baud = None
    realtime = True

    def __init__(
        self, broker: str, fleet: str, *, options: MqttOptions = OPTIONS, max_payload: int = PAYLOAD_SIZES[-1]
    ) -> None:
        self.max_payload = max_payload
        self.stats: Counter[str] = Counter()
        self.states: dict[str, str] = {}
        self._url = parse_broker_url(broker)
        self._fleet = check_name("fleet", fleet)
        self._options = options
        self._state_topic = topic(fleet, COORDINATOR, "state")
        self._client: paho.Client | None = None
        self._loop: PahoLoop | None = None
        self._thread: threading.Thread | None = None
        self._inbox: Inbox | None = None
        self._stopping = False
        self._subscribed = threading.Event()
        self._failure: TransportError | None = None

    @property
    def connected(self) -> bool:
        """Whether the broker is there at this moment."""
        return self._client is not None and self._client.is_connected()

    def open(self, inbox: Inbox) -> None:
        """Connect and subscribe; raises TransportError if there is no broker, or it says no."""
        if self._client is not None:
            raise TransportError("the MQTT transport is open already; close() it first")
        self._inbox, self._failure, self._stopping = inbox, None, False
        self._subscribed.clear()
        tls = tls_context(self._url, self._options)
        client = make_client(f"byz-{self._fleet}-{COORDINATOR}", self._url, self._options, self._state_topic, tls)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        self._loop = PahoLoop()
        self._loop.add(client)
        self._client = client
        try:
            connect(client, self._url, self._options)
            self._thread = threading.Thread(target=self._run, args=(self._loop,), name="byzantiny-mqtt", daemon=True)
            self._thread.start()
            self._await_subscription()
        except BaseException:
            self.close()
            raise

    def send(self, client_id: str, frame: bytes) -> None:
        """Publish one frame to one device; raises TransportError before `open`, or when the link's thread has died."""
        loop, client = self._loop, self._client
        if loop is None or client is None:
            raise TransportError("the MQTT transport is not open; call open(inbox) before send()")
        if self._failure is not None:
            raise self._failure
        loop.call(lambda: self._publish(client, client_id, frame))

    def pump(self) -> None:
        """Do nothing: the thread does it."""

    def close(self) -> None:
        """Say `lost` for ourselves, disconnect, end the thread; idempotent."""
        loop, client, thread = self._loop, self._client, self._thread
        if loop is None or client is None:
            return
        self._loop = self._client = self._thread = None
        if thread is not None and thread.is_alive():
            loop.call(self._stop)
            thread.join()
        loop.close()

    def _await_subscription(self) -> None:
        answered = self._subscribed.wait(self._options.timeout_s)
        if self._failure is not None:
            raise self._failure
        if not answered:
            raise silence(self._url, self._options)

    def _stop(self) -> None:
        self._stopping = True

    def _run(self, loop: PahoLoop) -> None:
        try:
            while not self._stopping:
                loop.run_once(1.0)
        except Exception as error:
            self._failure = TransportError(
                f"the MQTT link to {self._url.endpoint} has failed: {error!r}; restart the run"
            )
            self._subscribed.set()

    def _publish(self, client: paho.Client, client_id: str, frame: bytes) -> None:
        if not client.is_connected():
            self.stats["dropped-offline"] += 1
            return
        client.publish(topic(self._fleet, client_id, "down"), frame, qos=1)
        self.stats["sent"] += 1

    def _on_connect(self, client: paho.Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            if not self._subscribed.is_set():
                self._failure = refusal(self._url, reason)
                self._subscribed.set()
            return
        if self._loop is not None:
            self._loop.established(client)
        client.subscribe([(topic(self._fleet, "+", "up"), 1), (topic(self._fleet, "+", "state"), 1)])
        announce(client, self._state_topic)

    def _on_subscribe(self, _client: paho.Client, _userdata: Any, _mid: int, reasons: Any, _properties: Any) -> None:
        if any(reason.is_failure for reason in reasons) and self._failure is None:
            self._failure = topics_refused(self._url, self._fleet)
        self._subscribed.set()

    def _on_message(self, _client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        place = device_of(self._fleet, message.topic)
        if place is None:
            if message.topic != self._state_topic:
                self.stats["dropped-topic"] += 1
        elif place[1] == "state":
            self.states[place[0]] = message.payload[:16].decode("ascii", "replace")
        elif message.retain:
            self.stats["dropped-retained"] += 1
        elif not OVERHEAD_BYTES <= len(message.payload) <= OVERHEAD_BYTES + self.max_payload:
            self.stats["dropped-length"] += 1
        elif self._inbox is not None:
            self.stats["received"] += 1
            self._inbox.put(place[0], bytes(message.payload))
