"""One selector that drives any number of paho clients, with no thread of its own.

paho's `loop_start` is a thread and a `select()` per client: 339 clients in a process, and the next one silently never
connects. Here each client is one descriptor in one `selectors.DefaultSelector`. paho's clients are touched only by the
thread that calls `run_once`; other threads may `call` a function into it.

glibc's allocator thresholds are left alone: they matter for PUBLISHes of hundreds of kilobytes, and a frame has
at most 4,116 bytes.
"""

from __future__ import annotations

import random
import selectors
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from byzantiny.transport.errors import TransportError
from byzantiny.transport.mqtt_names import LOST, PREFIX, READY, BrokerUrl, MqttOptions

MISC_INTERVAL_S: Final = 0.5
RECONNECT_FIRST_S: Final = 0.2
RECONNECT_MAX_S: Final = 15.0
INFLIGHT_MAX: Final = 256
"""Unacknowledged PUBLISHes per client; paho's default of 20 is below one window of a transfer."""


@dataclass(slots=True)
class _Retry:
    """When a lost client connects again."""

    delay_s: float = RECONNECT_FIRST_S
    due: float = 0.0


class PahoLoop:
    """Selector, clients, reconnections."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._retries: dict[paho.Client, _Retry] = {}
        self._calls: deque[Callable[[], None]] = deque()
        self._wake_in, self._wake_out = socket.socketpair()
        for end in (self._wake_in, self._wake_out):
            end.setblocking(False)
        self._selector.register(self._wake_in, selectors.EVENT_READ, None)
        self._misc_due = 0.0
        self.reconnects = 0

    def add(self, client: paho.Client) -> None:
        """Drive `client` from now on; `connect` it afterwards, and call `established` when it is in."""
        client.on_socket_open = self._opened
        client.on_socket_close = self._closed
        client.on_socket_register_write = self._wants_write
        client.on_socket_unregister_write = self._wrote
        self._retries[client] = _Retry()

    def established(self, client: paho.Client) -> None:
        """The broker has let `client` in: the next loss starts with a short delay again."""
        self._retries[client].delay_s = RECONNECT_FIRST_S

    def call(self, function: Callable[[], None]) -> None:
        """Have `function` run in the thread of `run_once`; callable from any thread."""
        self._calls.append(function)
        with suppress(BlockingIOError):  # it is full of wake-ups already
            self._wake_out.send(b"\0")

    def run_once(self, timeout_s: float) -> None:
        """Wait for something to do, at most `timeout_s`, and do it."""
        wait_s = 0.0 if self._calls else max(0.0, min(timeout_s, self._misc_due - time.monotonic()))
        for key, mask in self._selector.select(wait_s):
            if key.data is None:
                self._wake_in.recv(4096)
                continue
            self._serve(key.data, mask)
        while self._calls:
            self._calls.popleft()()
        now = time.monotonic()
        if now >= self._misc_due:
            self._misc_due = now + MISC_INTERVAL_S
            self._keep_alive(now)

    def close(self) -> None:
        """Disconnect every client, say so to the broker, and release the selector; idempotent."""
        for client in self._retries:
            if client.is_connected():
                client.disconnect()
        until = time.monotonic() + 2.0
        while any(client.want_write() for client in self._retries) and time.monotonic() < until:
            for key, mask in self._selector.select(0.1):
                if key.data is not None:
                    self._serve(key.data, mask)
        for client in self._retries:
            if client.socket() is not None:
                client._sock_close()  # noqa: SLF001 - paho's only other way is to wait for the broker to hang up
        self._retries.clear()
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()

    def _serve(self, client: paho.Client, mask: int) -> None:
        if mask & selectors.EVENT_READ:
            client.loop_read()
            while isinstance(sock := client.socket(), ssl.SSLSocket) and sock.pending():
                client.loop_read()  # decrypted bytes that no selector can see
        if mask & selectors.EVENT_WRITE and client.socket() is not None:
            client.loop_write()

    def _keep_alive(self, now: float) -> None:
        for client, retry in self._retries.items():
            if client.socket() is not None:
                client.loop_misc()
            elif retry.due == 0.0:
                # Spread over half a delay, or a restarted broker meets the whole fleet at once.
                retry.due = now + retry.delay_s * random.uniform(1.0, 1.5)  # noqa: S311
            elif now >= retry.due:
                retry.due = 0.0
                retry.delay_s = min(2 * retry.delay_s, RECONNECT_MAX_S)
                self.reconnects += 1
                try:
                    client.reconnect()
                except (OSError, ValueError):
                    continue  # ValueError: paho's name for an endpoint that has gone

    def _opened(self, client: paho.Client, _userdata: Any, sock: Any) -> None:
        # paho leaves Nagle's algorithm on: with the broker's delayed ACK, every frame would take 40 ms (measured).
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(sock, selectors.EVENT_READ, client)
        retry = self._retries.get(client)
        if retry is not None:
            retry.due = 0.0

    def _closed(self, _client: paho.Client, _userdata: Any, sock: Any) -> None:
        self._selector.unregister(sock)

    def _wants_write(self, client: paho.Client, _userdata: Any, sock: Any) -> None:
        self._selector.modify(sock, selectors.EVENT_READ | selectors.EVENT_WRITE, client)

    def _wrote(self, client: paho.Client, _userdata: Any, sock: Any) -> None:
        with suppress(KeyError, ValueError):  # paho reports this of a socket it has closed already
            self._selector.modify(sock, selectors.EVENT_READ, client)


class _TlsSocket(ssl.SSLSocket):
    """Closes when the handshake fails (paho only forgets it), and says that it was the handshake."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError as error:
            self.close()
            if isinstance(error, ssl.SSLError):
                raise
            raise ssl.SSLError(error.errno or 0, f"the handshake failed: {error}") from error


def tls_context(url: BrokerUrl, options: MqttOptions) -> ssl.SSLContext | None:
    """Return what checks the broker's certificate and its name, None for mqtt://; raises TransportError for unusable files.

    It takes 20 ms where the system has 144 certificates, so a fleet shares one.
    """
    if not url.tls:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sslsocket_class = _TlsSocket
    try:
        if options.cert_file is not None:
            context.load_cert_chain(options.cert_file, options.key_file)
        if options.ca_file is not None:
            context.load_verify_locations(options.ca_file)
        else:
            context.load_default_certs()
    except (OSError, ValueError) as error:
        raise TransportError(f"the certificates for {url.endpoint} cannot be used: {error}; check the files") from error
    return context


def make_client(
    mqtt_id: str, url: BrokerUrl, options: MqttOptions, state_topic: str, tls: ssl.SSLContext | None
) -> paho.Client:
    """Return a paho client with a clean session and a retained `lost` as its will; `tls` is `tls_context`'s."""
    v5 = options.protocol == "5"
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=mqtt_id,
        clean_session=None if v5 else True,
        protocol=paho.MQTTv5 if v5 else paho.MQTTv311,
        reconnect_on_failure=False,
    )
    if url.username is not None:
        client.username_pw_set(url.username, url.password)
    if tls is not None:
        client.tls_set_context(tls)
    client.max_inflight_messages_set(INFLIGHT_MAX)
    client.connect_timeout = options.timeout_s
    client.will_set(state_topic, LOST, qos=1, retain=True)
    return client


def connect(client: paho.Client, url: BrokerUrl, options: MqttOptions) -> None:
    """Open the client's connection; raises TransportError naming the endpoint and the remedy."""
    try:
        if options.protocol == "5":
            client.connect(url.host, url.port, options.keepalive_s, clean_start=True)
        else:
            client.connect(url.host, url.port, options.keepalive_s)
    except ssl.SSLCertVerificationError as error:
        raise TransportError(
            f"the certificate of the broker at {url.endpoint} is not trusted: {error.verify_message}; "
            "give the file of the CA that signed it (ca_file), and the host name that the certificate is for"
        ) from error
    except ssl.SSLError as error:
        raise TransportError(
            f"no TLS with {url.endpoint}: {error}; check the port, mqtts:// against mqtt://, and whether "
            "the broker wants a client certificate (cert_file, key_file)"
        ) from error
    except (OSError, ValueError) as error:
        raise TransportError(
            f"no MQTT broker at {url.endpoint} ({error}); start one there, give another URL, or leave the URL out and "
            "a private mosquitto is started"
        ) from error


def announce(client: paho.Client, state_topic: str) -> None:
    """Publish the retained `ready`."""
    client.publish(state_topic, READY, qos=1, retain=True)


def refusal(url: BrokerUrl, reason: object) -> TransportError:
    """Return the error for a broker that said no."""
    return TransportError(
        f"the broker at {url.endpoint} refused the connection: {reason}; check the user name and password in the URL"
    )


def topics_refused(url: BrokerUrl, fleet: str) -> TransportError:
    """Return the error for a broker whose access list keeps us from a fleet's topics."""
    return TransportError(
        f"the broker at {url.endpoint} refuses the topics of fleet {fleet!r}; "
        f"allow this user {PREFIX}/{fleet}/# in its access list"
    )


def silence(url: BrokerUrl, options: MqttOptions) -> TransportError:
    """Return the error for something that takes connections and never says what a broker says."""
    return TransportError(
        f"{url.endpoint} did not answer as an MQTT broker within {options.timeout_s} s; "
        "check the port, and mqtt:// against mqtts://"
    )
