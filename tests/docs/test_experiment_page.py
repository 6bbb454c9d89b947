"""docs/experiment.md says what byzantiny.experiment.schema checks, key by key; its examples are experiments."""

import re
import sys
import types
import typing
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest

from byzantiny.experiment import config as loader
from byzantiny.experiment import schema as config
from byzantiny.experiment.config import parse_experiment
from byzantiny.experiment.resolve import check_pipeline
from byzantiny_models.networks import NETWORKS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAGE = Path(__file__).resolve().parents[2] / "docs" / "experiment.md"
TEXT = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
EXAMPLES = re.findall(r"^```toml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)

TABLES: dict[str, type[msgspec.Struct]] = {
    "The file": config.RunConfig,
    "[training]": config.Training,
    "[model]": config.Model,
    "[grid]": config.Grid,
    "[partition]": config.Partition,
    "[round]": config.Round,
    "[[clients]]": config.ClientGroup,
    "[attack]": config.Attack,
    "[defence]": config.Defence,
    "[evaluation]": config.Evaluation,
    "[mqtt]": config.Mqtt,
    "[link]": config.Link,
}
"""The page's sections and what each describes."""

WORDS = {int: "integer", float: "number", str: "string", bool: "boolean", type(None): ""}


def cells(kind: type[msgspec.Struct]) -> dict[str, tuple[str, str, str]]:
    """Key -> (type, default, limits), as the page prints them."""
    # An annotation that spans lines is a string with line breaks, which only a bracket lets Python read.
    hints = typing.get_type_hints(kind, vars(sys.modules[kind.__module__]), include_extras=True)
    found = {}
    for field in msgspec.structs.fields(kind):
        what, limits = describe(hints[field.name])
        found[field.name] = (what, default_of(field), limits)
    return found


def describe(hint: Any) -> tuple[str, str]:
    """The words for a type, and its limits."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        what, inner = describe(arguments[0])
        own = [limits_of(meta) for meta in arguments[1:] if isinstance(meta, msgspec.Meta)]
        return what, "; ".join(filter(None, [*own, inner]))
    if origin is Literal:
        return ("string" if isinstance(arguments[0], str) else "integer"), ", ".join(f"`{shown(a)}`" for a in arguments)
    if origin in (typing.Union, types.UnionType):
        parts = [describe(argument) for argument in arguments if argument is not type(None)]
        return " or ".join(dict.fromkeys(what for what, _ in parts)), " or ".join(filter(None, (e for _, e in parts)))
    if origin is list:
        what, limits = describe(arguments[0])
        return f"list of {what}s", f"each {limits}" if limits else ""
    if origin is dict:
        return "table", ""
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return "table", ""
    return WORDS[hint], ""


def limits_of(meta: msgspec.Meta) -> str:
    """The limits of one annotation."""
    signs = (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"))
    bounds = [f"{sign} {number(value)}" for name, sign in signs if (value := getattr(meta, name)) is not None]
    if meta.pattern is not None:
        bounds.append(f"`{meta.pattern.strip('^$')}`")
    if meta.min_length is not None:
        bounds.append(f"at least {meta.min_length}")
    return ", ".join(bounds)


def number(value: float) -> str:
    """A limit; large powers of two as such."""
    if isinstance(value, int) and value >= 1 << 16 and value & (value - 1) == 0:
        return f"2^{value.bit_length() - 1}"
    return str(value)


def default_of(field: msgspec.structs.FieldInfo) -> str:
    """The default as it would stand in the file."""
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if value is None:
        return "none"
    if isinstance(value, msgspec.Struct):
        return "its defaults"
    if isinstance(value, list) and value and isinstance(value[0], msgspec.Struct):
        return "one group with its defaults"
    return f"`{shown(value)}`"


def shown(value: Any) -> str:
    """A value in TOML.

    >>> shown([{"name": "mean"}]), shown(True), shown("x"), shown(0.5), shown({})
    ('[{ name = "mean" }]', 'true', '"x"', '0.5', '{}')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {shown(v)}' for key, v in value.items())} }}" if value else "{}"
    return str(value)


def rows_of(section):
    """Key -> the cells behind it, of the table under a heading."""
    assert f"\n## {section}\n" in TEXT, f"docs/experiment.md has no section {section}"
    body = TEXT.split(f"\n## {section}\n")[1].split("\n## ")[0]
    lines = [line.strip("|").split(" | ") for line in body.splitlines() if line.startswith("| `")]
    return {row[0].strip("` "): [cell.strip() for cell in row[1:]] for row in lines}


@pytest.mark.parametrize("section", TABLES)
def test_every_key_is_on_the_page_with_its_type_default_and_limits(section):
    written = rows_of(section)
    expected = cells(TABLES[section])
    assert list(written) == list(expected)
    for key, row in expected.items():
        assert written[key][:3] == [cell or "–" for cell in row], f"{section} {key}"
        assert len(written[key]) == 4, f"{section} {key}: a cell too many or too few"
        assert written[key][3], f"{section} {key} has no meaning"


def test_every_table_of_the_configuration_is_on_the_page():
    tables = [kind for kind in vars(config).values() if isinstance(kind, type) and issubclass(kind, config._Table)]
    assert set(tables) - {config._Table} == set(TABLES.values())


def test_the_keys_that_arms_share_are_on_the_page():
    (sentence,) = (line for line in TEXT.splitlines() if line.startswith("An arm may not set "))
    assert all(f"`{key}`" in sentence for key in loader._SHARED)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_an_experiment(example):
    experiment = parse_experiment(tomllib.loads(example))
    for arm, run in experiment.arms.items():
        check_pipeline(arm, run, next(iter(NETWORKS.values())).layout)


def test_the_smallest_experiment_is_what_the_page_says():
    (arm,) = parse_experiment({}).arms.items()
    assert arm[0] == "main"
    assert arm[1].client_ids() == ["dev-01"]
    assert msgspec.structs.asdict(arm[1].clients[0])["body"] == "native"
