"""What may be loaded by what: the round loop starts without the heavy packages, and the emulator stays in its own process."""

import subprocess
import sys

import pytest

ROUND_LOOP = (
    "byzantiny.coordinator",
    "byzantiny.experiment.engine",
    "byzantiny.fleet",
    "byzantiny.transport.mqtt",
    "byzantiny.transport.serial_port",
    "byzantiny_models.training",
)


def loaded_by(*modules: str) -> set[str]:
    program = f"import sys, {', '.join(modules)}; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return {name.partition(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize(
    "heavy", ["tensorflow", "tflite_runtime", "sklearn", "unicorn", "amqtt", "jinja2", "vl_convert", "ziglang"]
)
def test_the_round_loop_does_not_load(heavy):
    assert heavy not in loaded_by(*ROUND_LOOP)


def test_the_wire_loads_no_sockets_and_no_threads():
    program = (
        "import sys, byzantiny.wire.messages; before = set(sys.modules); import byzantiny.wire.host, byzantiny.wire.device; "
        "print(' '.join(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert not {"asyncio", "selectors", "socket", "paho", "serial"} & set(done.stdout.split())


def test_the_emulator_is_loaded_only_by_the_board_process():
    assert "unicorn" not in loaded_by(
        "byzantiny_firmware.unicorn", "byzantiny_firmware.ports", "byzantiny_firmware.native"
    )
