"""Which kernels run is chosen by the processor or by name, told, and never from other sources than the checkout's."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from byzantiny import kernels
from byzantiny.kernels import cpu, native


@pytest.fixture(autouse=True)
def choose_afresh():
    native.select.cache_clear()
    yield
    native.select.cache_clear()


def test_numpy_can_be_asked_for_and_gives_the_same_results(monkeypatch):
    rows = np.random.default_rng(0).integers(-127, 128, (12, 100)).astype(np.int8)
    native_result = kernels.median(kernels.to_tiles(rows), 100)
    monkeypatch.setenv(native.VARIANT_ENV, "numpy")
    native.select.cache_clear()
    assert kernels.backend().variant == "numpy"
    assert np.array_equal(kernels.median(kernels.to_tiles(rows), 100), native_result)


def test_a_missing_library_falls_back_to_numpy_and_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(native, "library_path", lambda variant: tmp_path / variant)
    backend = kernels.backend()
    assert backend.variant == "numpy"
    assert "byzantiny_firmware.build" in backend.reason


def test_a_variant_asked_for_and_missing_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv(native.VARIANT_ENV, native.supported_variants()[0])
    monkeypatch.setattr(native, "library_path", lambda variant: tmp_path / variant)
    with pytest.raises(kernels.KernelError, match="does not exist; build it"):
        kernels.backend()


def test_an_unknown_variant_is_an_error_that_names_the_known_ones(monkeypatch):
    monkeypatch.setenv(native.VARIANT_ENV, "v9")
    with pytest.raises(kernels.KernelError, match=r"v9: this processor runs numpy, "):
        kernels.backend()


def test_a_stale_library_is_refused_with_the_remedy(monkeypatch):
    path = native.library_path(native.supported_variants()[0])
    monkeypatch.setattr(native, "source_sha256", lambda: "0" * 64)
    with pytest.raises(kernels.KernelError, match=r"rebuild it with `python -m byzantiny_firmware.build`, or set BYZ"):
        native.load(path)


def test_a_file_that_is_no_library_is_refused(tmp_path):
    path = tmp_path / "libbyzkernels_v2.so"
    path.write_bytes(b"not a library")
    with pytest.raises(kernels.KernelError, match="cannot be loaded"):
        native.load(path)


def test_the_source_hash_changes_with_any_source(tmp_path):
    folder = tmp_path / "csrc"
    shutil.copytree(native.library_path("v2").parent.parent / "csrc", folder)
    before = native.source_sha256(folder)
    assert before == native.source_sha256()
    (folder / "median.c").write_text((folder / "median.c").read_text() + "\n")
    assert native.source_sha256(folder) != before
    assert native.source_sha256(tmp_path) == native.source_sha256(tmp_path)


def test_the_hash_is_the_build_s():
    build = pytest.importorskip("byzantiny_firmware.build")
    assert native.source_sha256() == build.kernels_sha256()


@pytest.mark.parametrize(
    ("missing", "variants"),
    [
        ((), ("icelake", "v4", "v3", "v2")),
        (("avx512_vnni",), ("v4", "v3", "v2")),
        (("avx512bw",), ("v3", "v2")),
        (("avx2",), ("v2",)),
        (("abm",), ("v2",)),
        (("sse4_2",), ()),
    ],
)
def test_a_level_is_used_only_with_every_flag_of_it_and_those_below(missing, variants):
    flags = frozenset().union(*cpu.FLAGS.values()) - set(missing)
    assert cpu.supported_variants(flags) == variants


def test_the_flags_are_the_first_processor_s(monkeypatch, tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu sse4_2 \n\nflags\t\t: other\n")
    monkeypatch.setattr(cpu, "_CPUINFO", cpuinfo)
    assert cpu.cpu_flags() == {"fpu", "sse4_2"}
    cpuinfo.write_text("processor\t: 0\n")
    assert cpu.cpu_flags() == frozenset()
    cpuinfo.unlink()
    assert cpu.supported_variants(cpu.cpu_flags()) == ("v2",)


def test_off_x86_there_is_one_variant(monkeypatch):
    monkeypatch.setattr(cpu.platform, "machine", lambda: "aarch64")
    assert cpu.supported_variants() == ("generic",)
