"""MQTT against a real broker: frames both ways, sessions, refusals, recovery."""

from __future__ import annotations

import resource
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import final

import paho.mqtt.client as paho
import pytest

from byzantiny.transport import brokers
from byzantiny.transport.base import Inbox
from byzantiny.transport.brokers import Broker, open_broker
from byzantiny.transport.errors import TransportError
from byzantiny.transport.mqtt import MqttTransport
from byzantiny.transport.mqtt_fleet import MqttFleetLink
from byzantiny.transport.mqtt_names import MqttOptions, parse_broker_url, topic
from byzantiny.transport.paho_loop import make_client, tls_context

FRAME = bytes(range(40))
FAST = MqttOptions(timeout_s=5.0)


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    if brokers.find_mosquitto() is None:
        pytest.skip("mosquitto is not installed (apt install mosquitto); the MQTT tests need a real broker")
    with open_broker() as found:
        yield found


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


def collect(inbox: Inbox, count: int, timeout_s: float = 10.0) -> list[tuple[str, bytes]]:
    got: list[tuple[str, bytes]] = []
    until = time.monotonic() + timeout_s
    while len(got) < count and time.monotonic() < until:
        got += inbox.drain(0.2)
    return got


def poll_until(link: MqttFleetLink, count: int, timeout_s: float = 10.0) -> list[tuple[str, bytes]]:
    got: list[tuple[str, bytes]] = []
    until = time.monotonic() + timeout_s
    while len(got) < count and time.monotonic() < until:
        got += link.poll(0.2)
    return got


@final
class Bridge:
    """Takes any number of connections on `port`, and carries the bytes of the first `served` to and from `target`."""

    def __init__(self, target: int, served: int) -> None:
        self._target = target
        self._left = served
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._stop, self._stopped = socket.socketpair()
        self._ends = [self._listener, self._stop, self._stopped]
        self._thread = threading.Thread(target=self._carry)

    def __enter__(self) -> Bridge:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.sendall(b"\0")
        self._thread.join()
        for end in self._ends:
            end.close()

    def _carry(self) -> None:
        peers: dict[socket.socket, socket.socket] = {}
        while True:
            for end in select.select([self._listener, self._stopped, *peers], [], [])[0]:
                if end is self._stopped:
                    return
                if end is self._listener:
                    line, _ = end.accept()
                    self._ends.append(line)
                    if self._left:
                        self._left -= 1
                        far = socket.create_connection(("127.0.0.1", self._target))
                        self._ends.append(far)
                        peers |= {line: far, far: line}
                elif data := end.recv(4096):
                    peers[end].sendall(data)
                else:
                    del peers[end]


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_a_frame_reaches_the_device_it_names_and_its_answer_comes_back(
    broker: Broker, inbox: Inbox, protocol: str
) -> None:
    options = MqttOptions(protocol=protocol)  # type: ignore[arg-type]
    transport = MqttTransport(broker.url, f"pair-{protocol[0]}", options=options)
    link = MqttFleetLink(broker.url, f"pair-{protocol[0]}", ["dev-01", "dev-02"], options=options)
    transport.open(inbox)
    link.start()
    try:
        transport.send("dev-02", FRAME)
        assert poll_until(link, 1) == [("dev-02", FRAME)]
        link.send("dev-02", FRAME[::-1])
        link.poll(0.1)
        assert collect(inbox, 1) == [("dev-02", FRAME[::-1])]
        assert transport.states == {"dev-01": "ready", "dev-02": "ready"}
    finally:
        link.close()
        transport.close()


def test_two_hundred_devices_each_keep_their_order_and_lose_nothing(broker: Broker, inbox: Inbox) -> None:
    names = [f"dev-{i:04d}" for i in range(200)]
    transport = MqttTransport(broker.url, "many")
    link = MqttFleetLink(broker.url, "many", names)
    transport.open(inbox)
    link.start()
    try:
        assert link.connected == 200
        for number in range(5):
            for name in names:
                transport.send(name, FRAME + bytes([number]))
        down = poll_until(link, 1000)
        assert len(down) == 1000
        for client_id, frame in down:
            link.send(client_id, frame)
        poll_until(link, 1, timeout_s=0.5)
        up = collect(inbox, 1000)
        for name in names:
            assert [frame[-1] for client_id, frame in up if client_id == name] == [0, 1, 2, 3, 4]
    finally:
        link.close()
        transport.close()


def test_a_device_that_vanishes_is_lost_and_one_that_leaves_is_too(broker: Broker, inbox: Inbox) -> None:
    transport = MqttTransport(broker.url, "states")
    transport.open(inbox)
    link = MqttFleetLink(broker.url, "states", ["a", "b"])
    link.start()
    try:
        sock = link._clients["a"].socket()
        assert isinstance(sock, socket.socket)
        sock.shutdown(socket.SHUT_RDWR)  # no DISCONNECT: the broker publishes the will
        until = time.monotonic() + 5
        while transport.states.get("a") != "lost" and time.monotonic() < until:
            time.sleep(0.02)
        assert transport.states["a"] == "lost"
        until = time.monotonic() + 10
        while link.connected < 2 or transport.states["a"] != "ready":  # and it comes back by itself
            assert time.monotonic() < until
            link.poll(0.05)
        link.close()
        until = time.monotonic() + 5
        while transport.states["b"] != "lost" and time.monotonic() < until:
            time.sleep(0.02)
        assert transport.states == {"a": "lost", "b": "lost"}
    finally:
        link.close()
        transport.close()


def test_topics_that_name_no_device_and_frames_that_are_none_are_dropped_and_counted(
    broker: Broker, inbox: Inbox
) -> None:
    url = parse_broker_url(broker.url)
    transport = MqttTransport(broker.url, "strict", max_payload=64)
    rogue = make_client("rogue", url, FAST, "byz/v1/strict/rogue/state", None)
    rogue.connect(url.host, url.port)
    rogue.publish("byz/v1/strict/kept/up", FRAME, qos=1, retain=True)
    for _ in range(50):
        rogue.loop(0.01)
    transport.open(inbox)
    try:
        for name, payload in [
            ("Bad_Name", FRAME),
            ("x" * 17, FRAME),
            ("ok", b"short"),
            ("ok", bytes(85)),
            ("ok", FRAME),
        ]:
            rogue.publish(topic("strict", name, "up"), payload, qos=1)
        for _ in range(50):
            rogue.loop(0.01)
        assert collect(inbox, 1) == [("ok", FRAME)]
        assert dict(transport.stats) == {
            "dropped-retained": 1,
            "dropped-topic": 2,
            "dropped-length": 2,
            "received": 1,
        }
    finally:
        rogue.publish("byz/v1/strict/kept/up", b"", qos=1, retain=True)
        for _ in range(20):
            rogue.loop(0.01)
        rogue.disconnect()
        rogue.loop(0.01)
        transport.close()


def test_both_ends_find_a_restarted_broker_again(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    program = brokers.find_mosquitto()
    if program is None:
        pytest.skip("mosquitto is not installed (apt install mosquitto); the MQTT tests need a real broker")
    port = brokers._free_port()
    monkeypatch.setattr(brokers, "_free_port", lambda: port)
    monkeypatch.setattr(brokers.secrets, "token_urlsafe", lambda _n: "the-same-password")
    with open_broker() as broker:
        transport = MqttTransport(broker.url, "again")
        link = MqttFleetLink(broker.url, "again", ["dev-01"])
        transport.open(inbox)
        link.start()
    try:
        until = time.monotonic() + 10
        while (transport.connected or link.connected) and time.monotonic() < until:
            link.poll(0.05)
        transport.send("dev-01", FRAME)
        link.send("dev-01", FRAME)
        assert link.stats["dropped-offline"] == 1
        with open_broker():
            until = time.monotonic() + 20
            while not (transport.connected and link.connected) and time.monotonic() < until:
                link.poll(0.05)
            transport.send("dev-01", FRAME)
            assert poll_until(link, 1) == [("dev-01", FRAME)]
            assert transport.stats["dropped-offline"] == 1
    finally:
        link.close()
        transport.close()


def test_no_broker_names_the_endpoint_and_the_remedy(inbox: Inbox) -> None:
    port = brokers._free_port()
    transport = MqttTransport(f"mqtt://someone:secret@127.0.0.1:{port}", "lab", options=FAST)
    with pytest.raises(TransportError, match=rf"127\.0\.0\.1:{port}.*start one") as caught:
        transport.open(inbox)
    assert "secret" not in str(caught.value)
    with pytest.raises(TransportError, match="no MQTT broker"):
        MqttFleetLink(f"mqtt://127.0.0.1:{port}", "lab", ["dev-01"]).start()


def test_a_wrong_password_is_refused_by_name_at_both_ends(broker: Broker, inbox: Inbox) -> None:
    url = parse_broker_url(broker.url)
    wrong = f"mqtt://byzantiny:wrong@{url.endpoint}"
    with pytest.raises(TransportError, match=r"refused the connection.*password"):
        MqttTransport(wrong, "lab").open(inbox)
    with pytest.raises(TransportError, match=r"refused the connection.*dev-01"):
        MqttFleetLink(wrong, "lab", ["dev-01"]).start()


def refuse_subscriptions(server: socket.socket) -> None:
    """The least of a broker: every connection is taken, every topic refused (a broker with an access list)."""
    with suppress(OSError):
        while True:
            connection = server.accept()[0]
            threading.Thread(target=_refuse_on, args=(connection,), daemon=True).start()


def _refuse_on(connection: socket.socket) -> None:
    with connection, suppress(OSError), connection.makefile("rb") as stream:
        while kind := stream.read(1):
            length = shift = 0
            while True:
                byte = stream.read(1)[0]
                length, shift = length | (byte & 0x7F) << shift, shift + 7
                if not byte & 0x80:
                    break
            body = stream.read(length)
            if kind[0] >> 4 == 1:  # CONNECT -> CONNACK
                connection.sendall(b"\x20\x02\x00\x00")
            elif kind[0] >> 4 == 8:  # SUBSCRIBE -> SUBACK, 0x80 for each of its topics
                topics, rest = 0, body[2:]
                while rest:
                    topics, rest = topics + 1, rest[2 + int.from_bytes(rest[:2], "big") + 1 :]
                connection.sendall(bytes([0x90, 2 + topics]) + body[:2] + b"\x80" * topics)


def test_topics_that_an_access_list_forbids_are_an_error_at_both_ends(inbox: Inbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=refuse_subscriptions, args=(server,), daemon=True).start()
        url = f"mqtt://lab:secret@127.0.0.1:{server.getsockname()[1]}"
        said = r"refuses the topics of fleet 'lab'; allow this user byz/v1/lab/#"
        with pytest.raises(TransportError, match=said):
            MqttTransport(url, "lab").open(inbox)
        with pytest.raises(TransportError, match=said):
            MqttFleetLink(url, "lab", ["dev-01", "dev-02"]).start()


def test_something_that_is_no_broker_is_said_to_be_none(inbox: Inbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"mqtt://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(TransportError, match=r"did not answer as an MQTT broker within 0\.5 s"):
            MqttTransport(url, "lab", options=MqttOptions(timeout_s=0.5)).open(inbox)
        with pytest.raises(TransportError, match=r"did not answer as an MQTT broker within 0\.5 s; check the port"):
            MqttFleetLink(url, "lab", ["dev-01", "dev-02"], options=MqttOptions(timeout_s=0.5)).start()


def test_a_broker_that_takes_some_devices_and_no_more_is_told_apart_from_none(broker: Broker) -> None:
    """A bridge to the broker that answers for three connections and is silent for the others."""
    url = parse_broker_url(broker.url)
    with Bridge(url.port, 3) as bridge:
        narrow = broker.url.replace(url.endpoint, f"127.0.0.1:{bridge.port}")
        link = MqttFleetLink(narrow, "some", [f"dev-{i}" for i in range(5)], options=MqttOptions(timeout_s=1.0))
        with pytest.raises(TransportError, match=r"3 of 5 devices are connected.*max_connections"):
            link.start()


@pytest.mark.parametrize("url", ["127.0.0.1", "http://host", "mqtt://", "mqtt://host:port", "mqtt://host/path"])
def test_a_url_that_is_none_is_refused_with_the_form(url: str) -> None:
    with pytest.raises(TransportError, match=r"write mqtt://"):
        parse_broker_url(url)


def test_tls_is_built_from_the_url_and_the_options() -> None:
    url = parse_broker_url("mqtts://me:pw@broker.example")
    assert (url.port, url.tls) == (8883, True)
    assert tls_context(parse_broker_url("mqtt://broker.example"), MqttOptions()) is None
    assert make_client("x", url, MqttOptions(), "s", tls_context(url, MqttOptions()))._ssl_context is not None
    with pytest.raises(TransportError, match="check the files"):
        tls_context(url, MqttOptions(ca_file=Path("/nowhere.pem")))


def test_using_a_closed_link_is_an_error_and_closing_twice_is_not(broker: Broker) -> None:
    transport = MqttTransport(broker.url, "closed")
    link = MqttFleetLink(broker.url, "closed", ["dev-01"])
    with pytest.raises(TransportError, match="open"):
        transport.send("dev-01", FRAME)
    with pytest.raises(TransportError, match="start"):
        link.poll(0.0)
    transport.close()
    link.close()


def test_a_private_broker_lets_nobody_else_in_and_keeps_others_out_of_other_topics(broker: Broker) -> None:
    assert (broker.kind, broker.notice) == ("mosquitto", "")
    url = parse_broker_url(broker.url)
    refused: list[object] = []
    stranger = paho.Client(paho.CallbackAPIVersion.VERSION2)
    stranger.on_connect = lambda _c, _u, _f, reason, _p: refused.append(reason.is_failure)
    stranger.connect(url.host, url.port)
    for _ in range(100):
        stranger.loop(0.01)
    assert refused == [True]


def test_a_given_url_is_used_as_it_is_and_a_bad_one_refused() -> None:
    with open_broker("mqtt://broker.example") as broker:
        assert broker == Broker("mqtt://broker.example", "external")
    with pytest.raises(TransportError, match="broker URL"), open_broker("nonsense"):
        pass


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtt://lab@host:1884", "mqtt://lab:p%2Fw@host:1884"),
        ("mqtt://lab:own@host", "mqtt://lab:own@host"),
        ("mqtt://host", "mqtt://host"),
    ],
)
def test_a_password_apart_is_for_a_user_without_one(url: str, expected: str) -> None:
    with open_broker(url, "p/w") as broker:
        assert broker == Broker(expected, "external")


def test_without_any_broker_the_error_names_both_remedies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brokers, "find_mosquitto", lambda: None)
    monkeypatch.setattr(brokers.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(TransportError, match=r"apt install mosquitto.*byzantiny\[broker\]"), open_broker():
        pass


def test_a_broker_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brokers, "find_mosquitto", lambda: "/bin/false")
    with pytest.raises(TransportError, match=r"could not be started.*give its URL"), open_broker():
        pass


CHILD = """
import sys, time
from byzantiny.transport.brokers import open_broker
with open_broker() as broker:
    print(broker.url, flush=True)
    time.sleep(60)
"""


def test_a_private_broker_is_not_bound_to_the_usual_soft_limit_of_descriptors() -> None:
    if brokers.find_mosquitto() is None:
        pytest.skip("mosquitto is not installed (apt install mosquitto); the MQTT tests need a real broker")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    names = [f"dev-{i:03d}" for i in range(120)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (80, hard))
    try:
        with open_broker() as broker:
            link = MqttFleetLink(broker.url, "wide", names)  # raises its own limit likewise
            link.start()
            assert link.connected == 120
            link.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_fleet_beyond_the_hard_limit_of_descriptors_is_refused_before_it_connects(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (64, 128))
    with pytest.raises(TransportError, match="100 devices need 164 descriptors, the limit of this process is 128"):
        MqttFleetLink("mqtt://127.0.0.1", "wide", [f"dev-{i}" for i in range(100)]).start()


def test_a_private_broker_dies_with_its_parent(broker: Broker) -> None:
    with subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        url = parse_broker_url(child.stdout.readline().strip())
        socket.create_connection((url.host, url.port), 1).close()
        child.kill()
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            socket.create_connection((url.host, url.port), 1).close()
        except OSError:
            return
        time.sleep(0.05)
    pytest.fail("the broker outlived the process that started it")


def test_the_embedded_broker_carries_frames_and_states_its_limits(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("amqtt", reason="amqtt is not installed (pip install 'byzantiny[broker]')")
    monkeypatch.setattr(brokers, "find_mosquitto", lambda: None)
    with open_broker() as broker:
        assert broker.kind == "amqtt"
        assert "do not measure" in broker.notice
        transport = MqttTransport(broker.url, "embedded")
        link = MqttFleetLink(broker.url, "embedded", ["dev-01"])
        try:
            transport.open(inbox)
            link.start()
            transport.send("dev-01", FRAME)
            assert poll_until(link, 1) == [("dev-01", FRAME)]
            link.send("dev-01", FRAME)
            link.poll(0.1)
            assert collect(inbox, 1) == [("dev-01", FRAME)]
        finally:
            link.close()
            transport.close()
