"""MQTT over TLS: a real mosquitto with a certificate of a CA made here, on the loopback."""

from __future__ import annotations

import getpass
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from byzantiny.transport import brokers
from byzantiny.transport.base import Inbox
from byzantiny.transport.errors import TransportError
from byzantiny.transport.mqtt import MqttTransport
from byzantiny.transport.mqtt_fleet import MqttFleetLink
from byzantiny.transport.mqtt_names import MqttOptions

from .test_mqtt import collect, poll_until

EXTENSIONS = """\
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
extendedKeyUsage = serverAuth
subjectAltName = IP:127.0.0.1
authorityKeyIdentifier = keyid
"""
KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-config", "openssl.cnf"]


@dataclass
class TlsBroker:
    """`url` has user and password; `ca` signed the broker's certificate, `other_ca` did not."""

    url: str
    ca: Path
    other_ca: Path

    def url_with(self, *, scheme: str = "mqtts", login: str | None = None, host: str = "127.0.0.1") -> str:
        given, _, endpoint = self.url.removeprefix("mqtts://").rpartition("@")
        return f"{scheme}://{login or given}@{endpoint.replace('127.0.0.1', host)}"


def openssl(folder: Path, *arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def make_ca(folder: Path, name: str) -> Path:
    openssl(folder, "req", "-x509", *KEY, "-extensions", "ca", "-days", "2", "-subj", f"/CN={name}",
            "-keyout", f"{name}.key", "-out", f"{name}.pem")  # fmt: skip
    return folder / f"{name}.pem"


@pytest.fixture(scope="module")
def broker(mosquitto: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsBroker]:
    if shutil.which("openssl") is None:
        pytest.skip("the openssl command is not installed (apt install openssl); it makes the certificates")
    folder = tmp_path_factory.mktemp("tls")
    (folder / "openssl.cnf").write_text(EXTENSIONS)
    ca, other_ca = make_ca(folder, "ca"), make_ca(folder, "other")
    openssl(folder, "req", *KEY, "-subj", "/CN=broker", "-keyout", "server.key", "-out", "server.csr")
    openssl(folder, "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "1",
            "-days", "2", "-extfile", "openssl.cnf", "-extensions", "server", "-out", "server.pem")  # fmt: skip
    (folder / "passwords").write_text(f"lab:{brokers._password_hash('s@fe')}\n")
    (folder / "acl").write_text("user lab\ntopic readwrite byz/v1/#\n")
    for name in ("passwords", "acl"):
        (folder / name).chmod(0o600)

    def command(port: int) -> list[str]:
        conf = brokers.MOSQUITTO_CONF.format(port=port, folder=folder, user=getpass.getuser())
        conf += f"cafile {ca}\ncertfile {folder / 'server.pem'}\nkeyfile {folder / 'server.key'}\n"
        (folder / "mosquitto.conf").write_text(conf)
        return [mosquitto, "-c", str(folder / "mosquitto.conf")]

    with brokers._running(command) as port:
        yield TlsBroker(f"mqtts://lab:s%40fe@127.0.0.1:{port}", ca, other_ca)


def message_of(url: str, options: MqttOptions) -> str:
    """What both ends say, which must be the same but for the name of the device."""
    with pytest.raises(TransportError) as said:
        MqttTransport(url, "tls", options=options).open(Inbox())
    with pytest.raises(TransportError) as said_by_fleet:
        MqttFleetLink(url, "tls", ["dev-01"], options=options).start()
    assert str(said_by_fleet.value).replace("dev-01: ", "") == str(said.value)
    assert "s%40fe" not in str(said.value)
    assert "s@fe" not in str(said.value)
    return str(said.value)


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_frames_go_both_ways_over_tls(broker: TlsBroker, protocol: str) -> None:
    """Many large ones at once: TLS hands out records, and what is left of one is invisible to a selector."""
    options = MqttOptions(protocol=protocol, ca_file=broker.ca)  # type: ignore[arg-type]
    inbox = Inbox()
    transport = MqttTransport(broker.url, f"tls-{protocol[0]}", options=options)
    link = MqttFleetLink(broker.url, f"tls-{protocol[0]}", ["dev-01", "dev-02"], options=options)
    frames = [bytes([number]) * 4000 for number in range(100)]
    transport.open(inbox)
    link.start()
    try:
        for frame in frames:
            transport.send("dev-02", frame)
        assert poll_until(link, len(frames)) == [("dev-02", frame) for frame in frames]
        for frame in frames:
            link.send("dev-01", frame)
        poll_until(link, 1, timeout_s=0.5)
        assert collect(inbox, len(frames)) == [("dev-01", frame) for frame in frames]
        assert transport.states == {"dev-01": "ready", "dev-02": "ready"}
    finally:
        link.close()
        transport.close()


def test_a_certificate_of_another_ca_is_one_clear_error(broker: TlsBroker) -> None:
    for options in (MqttOptions(ca_file=broker.other_ca), MqttOptions()):  # the system's CAs did not sign it either
        said = message_of(broker.url, options)
        assert "127.0.0.1:" in said
        assert "is not trusted" in said
        assert "ca_file" in said


def test_a_certificate_for_another_name_is_refused(broker: TlsBroker) -> None:
    said = message_of(broker.url_with(host="localhost"), MqttOptions(ca_file=broker.ca))
    assert "Hostname mismatch" in said
    assert "the host name that the certificate is for" in said


def test_a_wrong_password_over_tls_is_refused_by_name(broker: TlsBroker) -> None:
    said = message_of(broker.url_with(login="lab:wrong"), MqttOptions(ca_file=broker.ca))
    assert "refused the connection" in said
    assert "password" in said


def test_plain_mqtt_to_a_tls_port_names_the_scheme(broker: TlsBroker) -> None:
    said = message_of(broker.url_with(scheme="mqtt"), MqttOptions(timeout_s=1.0))
    assert "did not answer as an MQTT broker within 1.0 s" in said
    assert "mqtt:// against mqtts://" in said


def test_tls_to_a_plain_port_names_the_scheme(broker: TlsBroker, mosquitto: str) -> None:
    with brokers.private_mosquitto(mosquitto) as plain:
        said = message_of(plain.url.replace("mqtt://", "mqtts://"), MqttOptions(ca_file=broker.ca, timeout_s=2.0))
    assert "no TLS with 127.0.0.1:" in said
    assert "mqtts:// against mqtt://" in said


def test_tls_to_a_port_that_says_nothing_ends_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        said = message_of(f"mqtts://127.0.0.1:{server.getsockname()[1]}", MqttOptions(timeout_s=0.3))
    assert "no TLS with 127.0.0.1:" in said
    assert "timed out" in said
