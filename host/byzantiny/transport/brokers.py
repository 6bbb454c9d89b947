"""Which broker a run uses: the URL given, else a private mosquitto, else amqtt with its limits said aloud."""

from __future__ import annotations

import base64
import getpass
import hashlib
import importlib.util
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from byzantiny.transport.errors import TransportError
from byzantiny.transport.mqtt_names import with_password

START_S: Final = 10.0
ATTEMPTS: Final = 3
"""A free port may be taken between asking for it and binding it."""
USERNAME: Final = "byzantiny"
PBKDF2_ROUNDS: Final = 101
"""As mosquitto_passwd writes it; the password is random, so more would only slow a fleet's connections down."""
GUARD: Final = Path(__file__).with_name("guard.py")
AMQTT_NOTICE: Final = (
    "no mosquitto on PATH: using the embedded amqtt broker, which needs 12-20 times the CPU of mosquitto, carries "
    "about 1,000 messages/s, drops a QoS 1 message unacknowledged for 5 s and lets every local user in; "
    "do not measure with it (apt install mosquitto)"
)
# max_packet_size, not message_size_limit: that one acknowledges a message and then drops it. The queue must hold a
# round's burst, and 0 means "none" in some releases. `user` keeps a mosquitto started by root able to read its files.
MOSQUITTO_CONF: Final = """\
listener {port} 127.0.0.1
user {user}
allow_anonymous false
password_file {folder}/passwords
acl_file {folder}/acl
persistence false
max_queued_messages 100000
max_inflight_messages 256
max_packet_size 262144
set_tcp_nodelay true
connection_messages false
log_dest stderr
log_type error
"""


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker to connect to; `notice` is to be shown once if it is not empty."""

    url: str
    kind: Literal["external", "mosquitto", "amqtt"]
    notice: str = ""


@contextmanager
def open_broker(url: str | None = None, password: str | None = None) -> Iterator[Broker]:
    """Yield the broker of a run; a private one ends with the block, or with this process however it dies.

    `password` is for a URL that names a user and no password.

    Raises TransportError if the URL is none, or if there is neither mosquitto nor amqtt.
    """
    if url is not None:
        yield Broker(with_password(url, password), "external")
        return
    program = find_mosquitto()
    if program is not None:
        with private_mosquitto(program) as broker:
            yield broker
    elif importlib.util.find_spec("amqtt") is not None:
        with private_amqtt() as broker:
            yield broker
    else:
        raise TransportError(
            "there is no MQTT broker: install mosquitto (apt install mosquitto), "
            "or the embedded one (pip install 'byzantiny[broker]'), or give the URL of yours"
        )


def find_mosquitto() -> str | None:
    """Return the mosquitto on PATH, or where distributions put it outside an ordinary user's PATH."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin")


@contextmanager
def private_mosquitto(program: str) -> Iterator[Broker]:
    """Run a mosquitto for this process alone: loopback, a free port, a password nobody else knows."""
    password = secrets.token_urlsafe(18)
    with tempfile.TemporaryDirectory(prefix="byzantiny-broker-") as folder:
        Path(folder, "passwords").write_text(f"{USERNAME}:{_password_hash(password)}\n")
        Path(folder, "acl").write_text(f"user {USERNAME}\ntopic readwrite byz/v1/#\n")
        for name in ("passwords", "acl"):
            Path(folder, name).chmod(0o600)

        def command(port: int) -> list[str]:
            conf = Path(folder, "mosquitto.conf")
            conf.write_text(MOSQUITTO_CONF.format(port=port, folder=folder, user=getpass.getuser()))
            return [program, "-c", str(conf)]

        with _running(command) as port:
            yield Broker(f"mqtt://{USERNAME}:{password}@127.0.0.1:{port}", "mosquitto")


@contextmanager
def private_amqtt() -> Iterator[Broker]:
    """Run amqtt in a process of its own on a free loopback port."""
    server = Path(__file__).with_name("amqtt_server.py")
    with _running(lambda port: [sys.executable, "-W", "ignore", str(server), str(port)]) as port:
        yield Broker(f"mqtt://127.0.0.1:{port}", "amqtt", AMQTT_NOTICE)


@contextmanager
def _running(command: Callable[[int], list[str]]) -> Iterator[int]:
    """Run a broker under the guard; yields its port once it accepts connections."""
    complaints = []
    for _ in range(ATTEMPTS):
        port = _free_port()
        process, complaint = _start(command(port), port)
        if complaint is None:
            break
        _stop(process)
        complaints.append(complaint)
    else:
        raise TransportError(
            f"a private broker could not be started ({complaints[-1]}); start one yourself and give its URL"
        )
    try:
        yield port
    finally:
        _stop(process)


def _start(command: list[str], port: int) -> tuple[subprocess.Popen[bytes], str | None]:
    """Start a broker and wait for its port; returns the process and what went wrong."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-I", str(GUARD), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,  # Ctrl-C suspends the run; the broker must see that through
        )
        until = time.monotonic() + START_S
        while process.poll() is None and time.monotonic() < until:
            try:
                with socket.create_connection(("127.0.0.1", port), 0.5):
                    return process, None
            except OSError:
                time.sleep(0.02)
        errors.seek(0)
        said = errors.read().decode(errors="replace").strip().splitlines()
    return process, said[-1] if said else f"{command[0]} did not listen within {START_S} s"


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Close the guard's standard input, upon which it ends its child and itself."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(START_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _password_hash(password: str) -> str:
    """Return mosquitto's own format for a password file: PBKDF2 with SHA-512 (`$7$`, since 2.0)."""
    salt = secrets.token_bytes(12)
    derived = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, PBKDF2_ROUNDS)
    return "$7${}${}${}".format(PBKDF2_ROUNDS, *(base64.b64encode(part).decode() for part in (salt, derived)))
