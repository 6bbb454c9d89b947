"""MQTT: broker URLs, topics and what both ends agree on (SPEC 1).

byz/v1/{fleet}/{device}/up      frames of the device, QoS 1, one frame per PUBLISH
byz/v1/{fleet}/{device}/down    frames for the device, likewise
byz/v1/{fleet}/{device}/state   `ready` or `lost` (the will), retained
"""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from byzantiny.transport.errors import TransportError

NAME: Final = re.compile(r"[a-z0-9-]{1,16}\Z")
"""What a client_id looks like; a fleet is named likewise, so neither can be a wildcard or a level of its own."""
COORDINATOR: Final = "_coordinator"
"""The coordinator's place among the devices of a fleet; no device can have this name."""
READY: Final = b"ready"
LOST: Final = b"lost"
PREFIX: Final = "byz/v1"
PASSWORD_ENV: Final = "BYZANTINY_MQTT_PASSWORD"  # noqa: S105 - the name of a variable
"""Where a run looks for the password of a broker's user: the environment is not written down, a file or a command is."""
FORM: Final = "mqtt://[user:password@]host[:port] or mqtts://..."

Channel = Literal["up", "down", "state"]


@dataclass(frozen=True, slots=True)
class BrokerUrl:
    """Where the broker is and who we are there.

    >>> parse_broker_url("mqtts://me:s%40fe@broker.example").password
    's@fe'
    """

    host: str
    port: int
    username: str | None = None
    password: str | None = None
    tls: bool = False

    @property
    def endpoint(self) -> str:
        """The address without the secret, for messages."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class MqttOptions:
    """How to speak to the broker; the files are for mqtts, where the system's certificates are the default."""

    protocol: Literal["3.1.1", "5"] = "3.1.1"
    keepalive_s: int = 20
    timeout_s: float = 10.0
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


def parse_broker_url(url: str) -> BrokerUrl:
    """Take a broker URL apart; raises TransportError naming the form.

    >>> parse_broker_url("mqtt://127.0.0.1").endpoint
    '127.0.0.1:1883'
    """
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise TransportError(f"the broker URL cannot be read ({error}); write {FORM}") from error
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or parts.path.strip("/"):
        shown = url.rpartition("@")[2]
        raise TransportError(f"{shown!r} is not a broker URL; write {FORM}")
    tls = parts.scheme == "mqtts"
    username, password = (
        None if text is None else urllib.parse.unquote(text) for text in (parts.username, parts.password)
    )
    return BrokerUrl(parts.hostname, port or (8883 if tls else 1883), username, password, tls)


def with_password(url: str, password: str | None) -> str:
    """Return the URL with a password where it names a user and has none; raises TransportError as `parse_broker_url`.

    >>> with_password("mqtt://lab@host:1884", "s@fe"), with_password("mqtt://host", "unused")
    ('mqtt://lab:s%40fe@host:1884', 'mqtt://host')
    """
    broker = parse_broker_url(url)
    if password is None or broker.username is None or broker.password is not None:
        return url
    user, _, rest = url.partition("://")[2].partition("@")
    scheme = url.partition("://")[0]
    return f"{scheme}://{user.rstrip(':')}:{urllib.parse.quote(password, safe='')}@{rest}"


def check_name(kind: str, name: str) -> str:
    """Return `name` if it may be a level of a topic; raises TransportError otherwise."""
    if not NAME.match(name):
        raise TransportError(f"the {kind} {name!r} is not 1-16 characters of [a-z0-9-]; rename it")
    return name


def topic(fleet: str, device: str, channel: Channel) -> str:
    """Return the topic of one channel of one device.

    >>> topic("lab", "dev-01", "up")
    'byz/v1/lab/dev-01/up'
    """
    return f"{PREFIX}/{fleet}/{device}/{channel}"


def device_of(fleet: str, name: str) -> tuple[str, str] | None:
    """Return (device, channel) of a topic of this fleet; None if there is no such device or channel.

    >>> device_of("lab", "byz/v1/lab/dev-01/up"), device_of("lab", "byz/v1/lab/Dev_01/up")
    (('dev-01', 'up'), None)
    """
    levels = name.split("/")
    if len(levels) != 5 or levels[:3] != [*PREFIX.split("/"), fleet] or levels[4] not in ("up", "down", "state"):
        return None
    return (levels[3], levels[4]) if NAME.match(levels[3]) else None
