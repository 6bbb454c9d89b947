"""The build: what is compiled, when it is compiled again, and what the loader refuses."""

from __future__ import annotations

import ctypes
import json
import shutil
import subprocess
import sys

import pytest
from elftools.elf.elffile import ELFFile

from byzantiny.kernels import cpu
from byzantiny_firmware import build, library, zigcc
from byzantiny_firmware.errors import FirmwareError
from byzantiny_firmware.native import NativeBody

GOOD = 'int byz_answer(void);\n__attribute__((visibility("default"))) int byz_answer(void) { return 42; }\n'


def test_the_build_needs_the_standard_library_only():
    # The hook runs it in an environment with hatchling and ziglang and nothing else.
    code = (
        f"import sys; sys.path.insert(0, {str(build.FIRMWARE)!r}); from byzantiny_firmware import build; "
        "assert not {'numpy', 'byzantiny', 'byzantiny_models'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)


def test_the_source_hash_depends_on_names_and_contents_only(tmp_path):
    a, b = tmp_path / "a.c", tmp_path / "b.c"
    a.write_bytes(b"one\n")
    b.write_bytes(b"two\n")
    first = zigcc.sources_sha256(tmp_path, [a, b])
    assert zigcc.sources_sha256(tmp_path, [b, a]) == first
    b.write_bytes(b"two\r\n")
    assert zigcc.sources_sha256(tmp_path, [a, b]) == first
    b.write_bytes(b"too\n")
    assert zigcc.sources_sha256(tmp_path, [a, b]) != first
    b.write_bytes(b"two\n")
    b.rename(tmp_path / "c.c")
    assert zigcc.sources_sha256(tmp_path, [a, tmp_path / "c.c"]) != first


@pytest.mark.parametrize(
    ("system", "machine", "names"),
    [
        ("Linux", "x86_64", ["libbyz_v2.so", "libbyz_v3.so", "libbyz_v4.so", "libbyz_icelake.so"]),
        ("Linux", "aarch64", ["libbyz_generic.so"]),
        ("Darwin", "arm64", ["libbyz_generic.dylib"]),
        ("Darwin", "x86_64", ["libbyz_v2.dylib"]),
        ("Windows", "AMD64", ["byz_v2.dll"]),
        ("Plan9", "mips", []),
    ],
)
def test_the_variants_of_a_platform(system, machine, names):
    assert [variant.file_name("byz") for variant in build.native_variants(system, machine)] == names


@pytest.fixture
def kernels(tmp_path, monkeypatch):
    """A kernels folder of its own, with one source."""
    (tmp_path / "csrc").mkdir()
    (tmp_path / "csrc" / "answer.c").write_text(GOOD, encoding="utf-8")
    monkeypatch.setattr(build, "KERNELS", tmp_path)
    return tmp_path


def test_sources_are_compiled_once_and_again_when_they_change(kernels, monkeypatch):
    out = kernels / "_built"
    paths = build.build_kernels(out)
    assert ctypes.CDLL(str(paths[0])).byz_answer() == 42
    record = json.loads((out / "built.json").read_text(encoding="utf-8"))["kernels"]
    assert record["source_sha256"] == build.kernels_sha256()
    assert record["compiler"].startswith("ziglang ")
    assert str(build.FIRMWARE.parent) not in json.dumps(record["outputs"])

    ran = []
    monkeypatch.setattr(zigcc, "run_jobs", ran.append)
    assert build.build_kernels(out) == paths
    assert ran == []
    build.build_kernels(out, force=True)
    assert len(ran) == 1
    (kernels / "csrc" / "answer.c").write_text(GOOD.replace("42", "43"), encoding="utf-8")
    build.build_kernels(out)
    assert len(ran) == 2
    paths[0].unlink()
    build.build_kernels(out)
    assert len(ran) == 3


def test_a_source_that_does_not_compile_is_named_and_leaves_no_output(kernels):
    (kernels / "csrc" / "answer.c").write_text("int broken(", encoding="utf-8")
    with pytest.raises(zigcc.CompileError, match=r"answer\.c"):
        build.build_kernels(kernels / "_built")
    assert [p.name for p in (kernels / "_built").iterdir()] == []


def test_no_kernels_are_no_error(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "KERNELS", tmp_path)
    assert build.build_kernels(tmp_path / "_built") == []


def test_a_missing_compiler_names_the_remedy(monkeypatch):
    monkeypatch.setattr(zigcc, "compiler", lambda: [sys.executable, "-m", "no_such_compiler", "cc"])
    with pytest.raises(zigcc.CompileError, match=r"byzantiny\[firmware\]"):
        zigcc.compiler_version()


def test_the_build_command_reports_an_error_with_status_1(monkeypatch, capsys):
    def fail(*, force):
        raise zigcc.CompileError(f"no, {force}")

    monkeypatch.setattr(build, "build_all", fail)
    assert build.main(["--force"]) == 1
    assert capsys.readouterr().err == "no, True\n"
    assert build.main(["--frce"]) == 2
    with pytest.raises(FirmwareError, match="no, False"):
        library.rebuild()


def test_zigs_cache_moves_when_its_place_cannot_be_written(monkeypatch, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    monkeypatch.delenv("ZIG_GLOBAL_CACHE_DIR", raising=False)
    assert "byzantiny-zig-cache" in zigcc.environment()["ZIG_GLOBAL_CACHE_DIR"]
    monkeypatch.setenv("ZIG_GLOBAL_CACHE_DIR", str(tmp_path))
    assert zigcc.environment()["ZIG_GLOBAL_CACHE_DIR"] == str(tmp_path)


@pytest.fixture
def fresh():
    library.load_variant.cache_clear()
    yield
    library.load_variant.cache_clear()


def test_the_library_carries_the_hash_of_its_sources():
    assert library.load().byz_source_sha256().decode() == build.native_sha256()


def test_a_stale_library_is_refused_with_the_remedy(monkeypatch, fresh):
    monkeypatch.setattr(build, "native_sha256", lambda: "0" * 64)
    with pytest.raises(FirmwareError, match="run `byzantiny firmware build`"):
        library.load()


def test_an_installed_wheel_has_no_sources_to_compare(monkeypatch, fresh, tmp_path):
    monkeypatch.setattr(build, "CORE", tmp_path / "absent")
    monkeypatch.setattr(build, "native_sha256", lambda: "0" * 64)
    assert library.load().byz_batch_scratch_bytes(0) > 0
    with pytest.raises(FirmwareError, match="no C sources"):
        library.rebuild()


def test_a_missing_library_is_refused_with_the_remedy(monkeypatch, fresh, tmp_path):
    monkeypatch.setattr(build, "BUILT", tmp_path)
    with pytest.raises(FirmwareError, match="has not been built; run `byzantiny firmware build`"):
        library.load()


def test_a_file_that_is_no_library_is_refused_with_the_remedy(monkeypatch, fresh, tmp_path):
    for variant in build.native_variants():
        (tmp_path / variant.file_name("byz")).write_bytes(b"no library")
    monkeypatch.setattr(build, "BUILT", tmp_path)
    with pytest.raises(FirmwareError, match="cannot be loaded"):
        library.load()


def test_the_variant_can_be_named_and_must_run_here(monkeypatch):
    worst = library.supported_variants()[-1]
    monkeypatch.setenv(cpu.VARIANT_ENV, worst)
    assert library.variant_name() == worst
    monkeypatch.setenv(cpu.VARIANT_ENV, "v9")
    with pytest.raises(FirmwareError, match="v9"):
        library.variant_name()


def test_the_library_runs_in_the_variants_of_the_kernels_that_are_built_for_it(monkeypatch):
    assert library.supported_variants() == cpu.supported_variants()
    monkeypatch.setattr(build, "native_variants", lambda: ())
    assert library.supported_variants() == ()
    with pytest.raises(FirmwareError, match="there is no native library for"):
        library.variant_name()


def test_numpy_is_a_variant_that_only_a_native_body_minds(monkeypatch):
    monkeypatch.setenv(cpu.VARIANT_ENV, "numpy")
    assert library.supported_variants()
    with pytest.raises(FirmwareError, match=r"=numpy rules the native library out.*or use the body `numpy`"):
        NativeBody([])


@pytest.mark.parametrize("native", [True, False], ids=["host", "board"])
@pytest.mark.parametrize("compiler", ["zig", "gcc"])
def test_the_core_compiles_without_a_warning(compiler, native, tmp_path):
    if compiler == "gcc" and shutil.which("gcc") is None:
        pytest.skip("gcc is not on PATH")
    command = zigcc.compiler() if compiler == "zig" else ["gcc"]
    strict = [
        *build.STRICT,
        "-Wshadow",
        "-Wstrict-prototypes",
        "-Wmissing-prototypes",
        "-Werror",
        "-O2",
        f"-I{build.CORE}",
    ]
    extra = ["-DBYZ_NATIVE"] if native else ["-ffreestanding", "-DBYZ_SKIP_ZERO_INPUTS"]
    if compiler == "zig" and not native:
        extra += ["-target", build.CORES["m0"][0], f"-mcpu={build.CORES['m0'][1]}"]
    mine = [p for p in build.native_sources() if p.suffix == ".c" and (native or p.parent.name != "native")]
    for source in mine:
        result = subprocess.run(
            [*command, *strict, *extra, "-c", str(source), "-o", str(tmp_path / "out.o")],
            capture_output=True, text=True, check=False, env=zigcc.environment(),
        )  # fmt: skip
        assert result.returncode == 0, result.stderr


IMAGES = [(board, core) for board, cores in build.BOARD_CORES.items() for core in cores]


@pytest.mark.parametrize(("board", "core"), IMAGES)
def test_an_image_fits_a_small_microcontroller(board, core):
    with (build.BUILT / f"byz_{board}_{core}.elf").open("rb") as stream:
        sizes = {section.name: section["sh_size"] for section in ELFFile(stream).iter_sections()}
    flash = sum(sizes.get(name, 0) for name in (".text", ".rodata", ".data"))
    ram = sum(sizes.get(name, 0) for name in (".data", ".bss"))
    assert 4_000 < flash <= 24 * 1024
    assert 8_000 < ram <= 16 * 1024


@pytest.mark.parametrize("part", ["train", "dense", "conv", "pool", "scope", "codes"])
def test_training_needs_neither_64_bit_products_nor_floats(part, tmp_path):
    # A Cortex-M0 has no long multiply and no FPU: either would be a call into compiler-rt.
    target, cpu = build.CORES["m0"]
    out = tmp_path / "out.o"
    flags = [flag for flag in build.IMAGE_FLAGS if not flag.startswith("-Wl")]
    source = build.CORE / f"byz_{part}.c"
    command = [
        *zigcc.compiler(),
        *flags,
        f"-I{build.CORE}",
        "-target",
        target,
        f"-mcpu={cpu}",
        "-c",
        str(source),
        "-o",
        str(out),
    ]
    subprocess.run(command, check=True, env=zigcc.environment())
    with out.open("rb") as stream:
        symbols = ELFFile(stream).get_section_by_name(".symtab").iter_symbols()
        needed = {symbol.name for symbol in symbols if symbol["st_shndx"] == "SHN_UNDEF" and symbol.name}
    runtime = {name for name in needed if not name.startswith("byz_")}
    assert runtime <= {"__aeabi_uidiv", "__aeabi_llsl", "__aeabi_llsr", "__aeabi_memclr", "__aeabi_memclr4", "__aeabi_memcpy",
                       "__aeabi_memcpy4", "__aeabi_memset"}  # fmt: skip
