"""What the client costs on a small microcontroller, within its budgets; and the commands that say so."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from byzantiny_firmware import images, sizes
from byzantiny_firmware.cli import app
from byzantiny_firmware.errors import FirmwareError
from byzantiny_firmware.unicorn import unavailable_reason


@pytest.mark.parametrize("core", ["m0", "m3", "m4f"])
def test_the_client_keeps_to_its_budgets(core):
    size = sizes.image_sizes(core)
    assert size.flash_bytes <= sizes.FLASH_BUDGET_BYTES
    assert size.static_ram_bytes <= sizes.STATIC_RAM_BUDGET_BYTES
    assert size.max_samples >= 4000


def test_the_numbers_agree_with_the_linker_script():
    text = (sizes.image_path("m4f").parents[2] / "boards" / "mps2" / "link.ld").read_text()
    assert f"ORIGIN = 0x20000000, LENGTH = {sizes.RAM_LIMIT_BYTES >> 10}K" in text
    assert "_stack_bytes = 3K" in text
    assert sizes.image_sizes("m4f").stack_reserved_bytes == 3 << 10
    assert sizes.image_sizes("m4f").ram_bytes == 32 << 10


def test_a_file_that_is_no_image_is_refused(tmp_path):
    path = tmp_path / "x_m4f.elf"
    path.write_bytes(b"\x7fELF")
    with pytest.raises(FirmwareError, match="cannot be read"):
        sizes.elf_sizes(path, "m4f")


def test_size_prints_a_table_and_json():
    assert "m4f" in CliRunner().invoke(app, ["size", "m4f"]).stdout
    done = CliRunner().invoke(app, ["size", "--json"])
    rows = json.loads(done.stdout)["images"]
    assert [row["image"] for row in rows] == list(images.CORES)
    assert all(row["flash_bytes"] == row["text_bytes"] + row["rodata_bytes"] + row["data_bytes"] for row in rows)


def test_an_unknown_image_is_an_error_with_the_names():
    with pytest.raises(FirmwareError, match="m0, m3, m4f, m7"):
        CliRunner().invoke(app, ["size", "z80"], catch_exceptions=False)


def test_build_says_what_is_built():
    done = CliRunner().invoke(app, ["build", "--json"])
    assert any(path.endswith("byz_mps2_m4f.elf") for path in json.loads(done.stdout)["built"])


@pytest.mark.skipif(unavailable_reason() is not None, reason=str(unavailable_reason()))
def test_run_prints_the_url_and_on_ctrl_c_the_count():
    command = [sys.executable, "-c", "from byzantiny_firmware.cli import app; app()", "run", "m3", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert json.loads(process.stdout.readline())["url"].startswith("socket://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        stats = json.loads(process.stdout.readline())["stats"]
    assert process.returncode == 0
    assert stats["instructions"] > 1000
    assert stats["trainings"] == 0


def test_run_refuses_a_secret_that_is_not_hex():
    with pytest.raises(FirmwareError, match="64 hex digits"):
        CliRunner().invoke(app, ["run", "--secret", "zz"], catch_exceptions=False)
