"""Builds the native libraries and the firmware images from `firmware_tools/core` and `firmware_tools/boards`.

`python -m byzantiny_firmware.build` (or `byzantiny firmware build`) rebuilds what is out of date; with `--force`,
everything. The build hook (hatch_build.py) calls the same functions, before anything is installed: this module imports
the standard library and `zigcc` only. What is built carries the SHA-256 of its sources.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from byzantiny_firmware import zigcc

PACKAGE = Path(__file__).resolve().parent
FIRMWARE = PACKAGE.parent
CORE = FIRMWARE / "core"
BOARDS = FIRMWARE / "boards"
BUILT = PACKAGE / "_built"
KERNELS = FIRMWARE.parent / "host" / "byzantiny" / "kernels"
MANIFEST = "built.json"

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wconversion")
"""Warnings, not errors: a later compiler's new warning must not break an installation. The tests add -Werror."""
COMMON = (*STRICT, "-ffp-contract=off", "-fno-sanitize=undefined", "-g0")
NATIVE_FLAGS = (*COMMON, "-O3", "-shared", "-fPIC", "-fvisibility=hidden", "-DBYZ_NATIVE", "-Wl,-s")
IMAGE_FLAGS = (
    *COMMON, "-Os", "-ffreestanding", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables", "-ffunction-sections",
    "-fdata-sections", "-DBYZ_SKIP_ZERO_INPUTS", "-Wl,--entry=Reset_Handler", "-Wl,--gc-sections",
    "-Wl,-z,max-page-size=4096",  # the default pads an image of 13 KB to 130 KB
)  # fmt: skip

CORES = {
    "m0": ("thumb-freestanding-eabi", "cortex_m0"),
    "m3": ("thumb-freestanding-eabi", "cortex_m3"),
    "m4f": ("thumb-freestanding-eabihf", "cortex_m4+vfp4d16sp"),
    "m7": ("thumb-freestanding-eabihf", "cortex_m7+fp_armv8d16sp"),
}
"""Core -> zig's target and CPU. `+vfp4d16sp`: cortex_m4 alone stays soft-float whatever the ABI."""

BOARD_CORES = {"mps2": ("m0", "m3", "m4f", "m7")}
"""Board (a folder of `firmware_tools/boards`) -> the cores its images are built for."""
DEFAULT_NETWORK = "mlp-64-32-10"
"""The network whose image is named by its core alone."""


@dataclass(frozen=True)
class Variant:
    """A native library for one class of processors."""

    name: str
    target: str
    cpu: str
    prefix: str = "lib"
    suffix: str = ".so"

    def file_name(self, stem: str) -> str:
        """The library's file name, for example `libbyz_v3.so`."""
        return f"{self.prefix}{stem}_{self.name}{self.suffix}"


def native_variants(system: str | None = None, machine: str | None = None) -> tuple[Variant, ...]:
    """The variants for a platform (default: this one), the most demanding last.

    >>> [variant.file_name("byz") for variant in native_variants("Linux", "x86_64")]
    ['libbyz_v2.so', 'libbyz_v3.so', 'libbyz_v4.so', 'libbyz_icelake.so']
    >>> native_variants("Windows", "AMD64")[0].file_name("byz")
    'byz_v2.dll'
    """
    system = system or platform.system()
    machine = {"amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}.get(
        (machine or platform.machine()).lower(), (machine or platform.machine()).lower()
    )
    if system == "Linux" and machine == "x86_64":
        # clang keeps to 256-bit vectors on v4 unless told otherwise; 512 trains 15 % more steps a second (Zen 5).
        v4 = "x86_64_v4-prefer_256_bit"
        icelake = f"{v4}+avx512bitalg+avx512vbmi+avx512vbmi2+avx512vnni+avx512vpopcntdq+gfni"
        cpus = {"v2": "x86_64_v2", "v3": "x86_64_v3", "v4": v4, "icelake": icelake}
        return tuple(Variant(name, "x86_64-linux-gnu.2.17", cpu) for name, cpu in cpus.items())
    baseline = ("v2", "x86_64_v2") if machine == "x86_64" else ("generic", "generic")
    if system == "Linux":
        return (Variant(baseline[0], f"{machine}-linux-gnu.2.17", baseline[1]),)
    if system == "Darwin":
        return (Variant(baseline[0], f"{machine}-macos", baseline[1], suffix=".dylib"),)
    if system == "Windows":
        return (Variant(baseline[0], f"{machine}-windows-gnu", baseline[1], prefix="", suffix=".dll"),)
    return ()


def in_checkout() -> bool:
    """Whether the C sources are here; in an installed wheel they are not (and `core` may be somebody else's folder)."""
    return (CORE / "byz_train.c").is_file()


def native_sources() -> list[Path]:
    """Every C file and header of the native library: the core, its generated tables, the batch calls."""
    return _files(CORE, "*.c", "*.h")


def image_networks(board: str) -> list[str]:
    """The networks that a board has an image for: the files of its folder `images`, the default first."""
    names = sorted(path.stem for path in (BOARDS / board / "images").glob("*.c"))
    return sorted(names, key=lambda name: name != DEFAULT_NETWORK)


def image_name(board: str, core: str, network: str = DEFAULT_NETWORK) -> str:
    """The file name of an image.

    >>> image_name("mps2", "m3"), image_name("mps2", "m3", "cnn-8x8")
    ('byz_mps2_m3.elf', 'byz_mps2_cnn-8x8_m3.elf')
    """
    return f"byz_{board}_{core}.elf" if network == DEFAULT_NETWORK else f"byz_{board}_{network}_{core}.elf"


def image_sources(board: str) -> list[Path]:
    """Every C file, header and linker script of a board's images."""
    native_only = CORE / "native"
    return [path for path in native_sources() if native_only not in path.parents] + _files(
        BOARDS / board, "*.c", "*.h", "*.ld"
    )


def kernel_sources() -> list[Path]:
    """The C files and headers of the host's aggregation kernels."""
    return _files(KERNELS / "csrc", "*.c", "*.h")


def _files(folder: Path, *patterns: str) -> list[Path]:
    return sorted(path for pattern in patterns for path in folder.rglob(pattern))


def native_sha256() -> str:
    """The hash that a native library of these sources carries."""
    return zigcc.sources_sha256(FIRMWARE, native_sources())


def kernels_sha256() -> str:
    """The hash that a kernel library of these sources carries: names relative to the folder `csrc`."""
    return zigcc.sources_sha256(KERNELS / "csrc", kernel_sources())


def build_native(out_dir: Path = BUILT, *, force: bool = False) -> list[Path]:
    """Build the host library in every variant of this platform; the paths of the libraries.

    Raises:
        zigcc.CompileError: no compiler, or a source that does not compile.
    """
    sha256 = native_sha256()
    return _build_library(out_dir, "native", "byz", native_sources(), sha256, (f"-I{CORE}",), force=force)


def build_kernels(out_dir: Path = KERNELS / "_built", *, force: bool = False) -> list[Path]:
    """Build the host's aggregation kernels, if there are any; the paths of the libraries.

    Raises:
        zigcc.CompileError: no compiler, or a source that does not compile.
    """
    sources = kernel_sources()
    if not any(path.suffix == ".c" for path in sources):
        return []
    include = (f"-I{KERNELS / 'csrc'}",)
    return _build_library(out_dir, "kernels", "byzkernels", sources, kernels_sha256(), include, force=force)


def _build_library(
    out_dir: Path, section: str, stem: str, sources: Sequence[Path], sha256: str, extra: Sequence[str], *, force: bool
) -> list[Path]:
    flags = (*NATIVE_FLAGS, *extra, f'-DBYZ_SOURCE_SHA256="{sha256}"')
    inputs = [str(path) for path in sources if path.suffix == ".c"]
    jobs = [
        zigcc.Job(
            out_dir / variant.file_name(stem), (*flags, "-target", variant.target, f"-mcpu={variant.cpu}", *inputs)
        )
        for variant in native_variants()
    ]
    return _build(out_dir, section, sha256, jobs, force=force)


def build_images(out_dir: Path = BUILT, *, force: bool = False) -> list[Path]:
    """Build every board's images, one for each core and network; the paths of the ELF files.

    Raises:
        zigcc.CompileError: no compiler, a source that does not compile, or an image larger than the board's memory.
    """
    outputs: list[Path] = []
    for board, cores in BOARD_CORES.items():
        sources = image_sources(board)
        scripts = [path for path in sources if path.suffix == ".ld"]
        if not scripts:
            continue
        sha256 = zigcc.sources_sha256(FIRMWARE, sources)
        jobs = [
            zigcc.Job(
                out_dir / image_name(board, core, network), _image_arguments(board, core, network, sources, sha256)
            )
            for core in cores
            for network in image_networks(board)
        ]
        outputs += _build(out_dir, f"image {board}", sha256, jobs, force=force)
    return outputs


def _image_arguments(
    board: str, core: str, network: str, sources: Sequence[Path], sha256: str, extra: Sequence[str] = ()
) -> tuple[str, ...]:
    script = next(path for path in sources if path.suffix == ".ld")
    # An image's own source includes main.c, so that all images of a core share the objects of everything else.
    images, main = BOARDS / board / "images", BOARDS / board / "main.c"
    common = [str(path) for path in sources if path.suffix == ".c" and path != main and path.parent != images]
    return (
        *IMAGE_FLAGS, f"-I{CORE}", f"-I{BOARDS / board}", f'-DBYZ_SOURCE_SHA256="{sha256}"', "-T", str(script), *extra,
        "-target", CORES[core][0], f"-mcpu={CORES[core][1]}", *common, str(images / f"{network}.c"),
    )  # fmt: skip


def build_measuring(out_dir: Path, board: str, core: str, network: str) -> tuple[Path, Path]:
    """Build two images that do not train, for counting: one that runs an inference a sample, one that does nothing at all.

    Raises:
        zigcc.CompileError: no compiler, or a source that does not compile.
    """
    sources = image_sources(board)
    sha256 = zigcc.sources_sha256(FIRMWARE, sources)
    paths = (out_dir / f"inference_{core}.elf", out_dir / f"nothing_{core}.elf")
    zigcc.run_jobs(
        [
            zigcc.Job(path, _image_arguments(board, core, network, sources, sha256, (f"-DBYZ_MEASURED={number}",)))
            for path, number in zip(paths, (1, 0), strict=True)
        ]
    )
    return paths


def attacked_sha256(sources: Sequence[Path], defines: Sequence[str]) -> str:
    """The hash that an attacked build carries: of its sources and of its options, so that it is never an honest one's."""
    text = "\n".join(("byzantiny-attacked-1", zigcc.sources_sha256(FIRMWARE, sources), *defines))
    return hashlib.sha256(text.encode()).hexdigest()


def build_attacked_image(
    board: str, core: str, network: str, attack: str, defines: Sequence[str], out_dir: Path = BUILT
) -> Path:
    """Build one image with an attack inside, unless it is there; `defines` are its options, `-D...`.

    Raises:
        zigcc.CompileError: no compiler, a source that does not compile, or an image larger than the board's memory.
    """
    sources = image_sources(board)
    sha256 = attacked_sha256(sources, defines)
    path = out_dir / f"byz_{board}_{network}_{attack}-{sha256[:12]}_{core}.elf"
    if not path.is_file():
        zigcc.run_jobs([zigcc.Job(path, _image_arguments(board, core, network, sources, sha256, tuple(defines)))])
    return path


def build_attacked_library(variant: Variant, attack: str, defines: Sequence[str], out_dir: Path = BUILT) -> Path:
    """Build the host library in one variant with an attack inside, unless it is there.

    Raises:
        zigcc.CompileError: no compiler, or a source that does not compile.
    """
    sources = native_sources()
    sha256 = attacked_sha256(sources, defines)
    path = out_dir / variant.file_name(f"byz_{attack}-{sha256[:12]}")
    if not path.is_file():
        inputs = [str(source) for source in sources if source.suffix == ".c"]
        flags = (*NATIVE_FLAGS, f"-I{CORE}", f'-DBYZ_SOURCE_SHA256="{sha256}"', *defines)
        zigcc.run_jobs([zigcc.Job(path, (*flags, "-target", variant.target, f"-mcpu={variant.cpu}", *inputs))])
    return path


def _build(out_dir: Path, section: str, sha256: str, jobs: Sequence[zigcc.Job], *, force: bool) -> list[Path]:
    """Run the jobs unless the manifest says that their outputs are up to date; record what was done."""
    manifest_path = out_dir / MANIFEST
    manifest = json.loads(manifest_path.read_text(encoding="utf-8")) if manifest_path.is_file() else {}
    outputs = [job.output for job in jobs]
    recipe = {job.output.name: [_relative(argument) for argument in job.arguments] for job in jobs}
    entry = manifest.get(section, {})
    current = entry.get("source_sha256") == sha256 and entry.get("outputs") == recipe
    if not force and current and all(path.is_file() for path in outputs):
        return outputs
    version = zigcc.compiler_version()
    zigcc.run_jobs(jobs)
    manifest[section] = {"source_sha256": sha256, "compiler": f"ziglang {version}", "outputs": recipe}
    out_dir.mkdir(parents=True, exist_ok=True)
    manifest_path.write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return outputs


def _relative(argument: str) -> str:
    """A compiler argument without the place of the checkout, so that the same sources give the same record."""
    return argument.replace(str(FIRMWARE.parent) + "/", "").replace(str(FIRMWARE.parent) + "\\", "")


def build_all(*, force: bool = False) -> list[Path]:
    """Build the host library, the images and the kernels; the paths of everything.

    Raises:
        zigcc.CompileError: no sources, no compiler, or a source that does not compile.
    """
    if not in_checkout():
        raise zigcc.CompileError(
            f"there are no C sources in {CORE}; build in a checkout of the project, or reinstall it"
        )
    return [*build_native(force=force), *build_images(force=force), *build_kernels(force=force)]


def main(argv: Sequence[str] | None = None) -> int:
    """Build what is out of date, with `--force` everything; the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments not in ([], ["--force"]):
        sys.stderr.write("usage: python -m byzantiny_firmware.build [--force]\n")
        return 2
    try:
        outputs = build_all(force=bool(arguments))
    except zigcc.CompileError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write("".join(f"{path}\n" for path in outputs))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
