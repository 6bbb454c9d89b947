"""What executes a client: the body protocol, its NumPy implementation, and the way to the others."""

from byzantiny.bodies.base import Body, DeviceSpec
from byzantiny.bodies.errors import BodyError
from byzantiny.bodies.registry import BodyFactory, body_names, load_bodies, load_body

__all__ = ["Body", "BodyError", "BodyFactory", "DeviceSpec", "body_names", "load_bodies", "load_body"]
