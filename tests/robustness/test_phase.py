"""The phase picture's numbers, its contour, its lies, and the files it becomes."""

from __future__ import annotations

import json
import math
import re
import struct
import zlib

import numpy as np
import pytest

from byzantiny.attacks.untargeted.alie import z_max
from byzantiny.charts.render import pressed
from byzantiny.charts.style import DARK, LIGHT, THEMES
from byzantiny.robustness.breakdown import breakdown_curve, page_defences, pages
from byzantiny.robustness.defences import parse_defence
from byzantiny.robustness.errors import RobustnessError
from byzantiny.robustness.honest import Model, draw_clients, honest_part
from byzantiny.robustness.lies import LIES, lie
from byzantiny.robustness.phase import PhaseStudy, cosine, phase
from byzantiny.robustness.pictures.breakdown import breakdown_chart
from byzantiny.robustness.pictures.contour import contour
from byzantiny.robustness.pictures.phase import phase_chart
from byzantiny.robustness.pictures.save import check_target, save

SMALL = PhaseStudy(("mean", "median"), n=9, d=60, f_step=2, per_octave=1)


@pytest.fixture(scope="module")
def small():
    return phase(SMALL)


def test_without_liars_the_mean_is_off_by_the_noise_of_rounding_alone():
    """cos^2 = |m|^2 / (|m|^2 + sum of v (1 - v) / n^2), v the fractional parts of the updates (docs/rules/sr-median.md)."""
    study = PhaseStudy(("mean",), n=50, d=4000, f_step=25, per_octave=1)
    row = phase(study).panels[0].cosine[0]
    for spread, measured in zip(study.spreads, row, strict=True):
        clients = draw_clients(Model(study.n, study.d, spread, study.signal, study.seed))
        part = clients.updates - np.floor(clients.updates)
        noise = (part * (1 - part)).sum() / study.n**2
        length = (clients.mean**2).sum()
        assert measured == pytest.approx(math.sqrt(length / (length + noise)), abs=0.01)


def test_the_median_sticks_on_a_coarse_grid_and_sr_median_does_not():
    answer = phase(PhaseStudy(("median", "sr-median"), n=21, d=300, f_step=10, per_octave=1))
    median, sr = answer.panels
    assert median.stuck[0, :2].all()
    assert (median.cosine[0, :2] == 0).all(), "no step counts as cosine 0"
    assert not sr.stuck.any()
    assert sr.cosine[0, 0] > 0.3


def test_the_picture_is_a_function_of_the_seed(small):
    assert phase(SMALL).record() == small.record()
    other = PhaseStudy(("mean", "median"), n=9, d=60, f_step=2, per_octave=1, seed=2)
    assert phase(other).record() != small.record()
    assert json.loads(json.dumps(small.record()))["f"] == [0, 2, 4]


def test_columns_are_reported_as_they_are_done():
    seen = []
    phase(SMALL, lambda done, of: seen.append((done, of)))
    assert seen == [(i, 10) for i in range(1, 11)]


def test_a_rule_beyond_its_limit_leaves_blank_cells_and_says_why():
    answer = phase(PhaseStudy(("bulyan",), n=9, d=20, f_step=2, per_octave=1))
    panel = answer.panels[0]
    assert np.isnan(panel.cosine[1:]).all()
    assert np.isfinite(panel.cosine[0]).all()
    assert "needs 11 clients" in panel.refused
    assert answer.record()["panels"][0]["cosine"][1][0] is None


def test_a_vector_without_length_has_no_direction():
    assert math.isnan(cosine(np.zeros(3), np.ones(3)))
    assert cosine(np.array([1.0, 0.0]), np.array([-2.0, 0.0])) == -1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"attack": "sign-flop"}, "did you mean `sign-flip`"),
        ({"rules": ()}, "name at least 1"),
        ({"n": 2}, "n is 2; the limits are 3 .. 1000: choose one within"),
        ({"trials": 0}, "trials is 0"),
        ({"f_step": 30}, "f-step is 30; the limits are 1 .. 25"),
        ({"signal": math.nan}, "signal is nan"),
        ({"factor": 0.0}, "factor is 0; the limits are 1e-06 .. 127"),
        ({"factor": 128.0}, "factor is 128"),
        ({"attack": "alie", "factor": math.inf}, "factor is inf"),
        ({"n": 1000, "d": 100_000}, "n times d is 1e"),
        ({"n": 1000, "d": 10_000, "trials": 100}, "raise f-step, or lower d, n, trials"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_value_limit_and_remedy(fields, said):
    with pytest.raises(RobustnessError) as caught:
        PhaseStudy(**fields)
    assert said in str(caught.value)


def test_the_lies_are_those_of_the_attacks():
    honest = honest_part(draw_clients(Model(n=50, d=2000, spread=20.0)), 24)
    rng = np.random.default_rng(0)
    sent = {name: lie(name, honest, 50, 24, rng).mean(axis=0) for name in LIES}
    assert np.allclose(sent["sign-flip"], -honest.mean, atol=0.6), "each liar rounds by itself"
    assert np.allclose(sent["ipm"], -0.1 * honest.mean, atol=0.6)
    assert np.array_equal(sent["saturate"], np.where(honest.mean > 0, -127, 127))
    assert np.allclose(sent["alie"], np.minimum(honest.mean + z_max(50, 24) * honest.deviation, 127), atol=0.6)
    assert lie("saturate", honest, 50, 0, rng).shape == (0, 2000)


def test_smaller_cohorts_are_parts_of_larger_ones():
    clients = draw_clients(Model(n=8, d=5))
    fewer = honest_part(clients, 3)
    assert np.array_equal(fewer.codes, clients.codes[:5])
    assert np.array_equal(fewer.mean, clients.updates[:5].mean(axis=0))


def test_a_circle_has_a_round_contour():
    axis = np.linspace(-2, 2, 81)
    field = np.hypot(axis[:, None], axis[None, :]) - 1.313  # through no node
    segments = contour(field, list(axis), list(axis))
    radii = [math.hypot(*point) for segment in segments for point in segment]
    assert max(radii) - min(radii) < 0.002
    length = sum(math.dist(*segment) for segment in segments)
    assert length == pytest.approx(2 * math.pi * 1.313, rel=1e-3)
    ends = [(round(x, 9), round(y, 9)) for segment in segments for x, y in segment]
    assert all(ends.count(point) == 2 for point in set(ends)), "a closed line"


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_saddle_is_parted_by_the_mean_of_its_corners(sign):
    low, high = -1.0 * sign, 3.0 * sign
    segments = contour(np.array([[low, high], [high, low]]), [0, 1], [0, 1])
    # The two corners of the lesser part are cut off, each by its own segment.
    near = [sum(math.dist(point, corner) for point in segment) for segment in segments for corner in ((0, 0), (1, 1))]
    assert len(segments) == 2
    assert min(near) == pytest.approx(0.5)


def test_a_field_without_a_crossing_or_with_gaps_has_no_line():
    assert contour(np.ones((3, 3)), [0, 1, 2], [0, 1, 2]) == []
    assert contour(np.array([[-1.0, np.nan], [1.0, 1.0]]), [0, 1], [0, 1]) == []
    assert contour(np.zeros((2, 2)), [0, 1], [0, 1]) == [], "0 is not below 0"


@pytest.mark.parametrize("ending", ["svg", "png", "html"])
def test_a_picture_is_a_file_of_its_own(small, tmp_path, ending):
    target = tmp_path / f"p.{ending}"
    save(target, lambda theme: phase_chart(small, theme), title="A < B", command="byzantiny phase", record={"n": 9})
    data = target.read_bytes()
    if ending == "png":
        assert struct.unpack(">II", data[16:24]) > (300, 200)
        return
    text = data.decode()
    assert "median" in text
    assert not re.findall(r"(?:href|src)=\"https?:", text), "nothing is fetched"
    if ending == "svg":
        assert text.startswith('<svg xmlns="http://www.w3.org/2000/svg"')
        assert LIGHT.paper in text
    else:
        assert "A &lt; B" in text
        assert text.count("<svg") == 2
        assert DARK.paper in text
        assert "byzantiny phase" in text


def test_where_a_picture_cannot_go_is_said_before_it_is_made(tmp_path):
    for name, said in (("p.pdf", "a picture ends in .svg, .png, .html"), ("no/p.svg", "a folder that does not exist")):
        with pytest.raises(RobustnessError, match=said):
            check_target(tmp_path / name)
    (tmp_path / "d.svg").mkdir()
    with pytest.raises(RobustnessError, match="is a folder"):
        check_target(tmp_path / "d.svg")
    with pytest.raises(RobustnessError, match="check the folder's permissions"):
        save(tmp_path / "d.svg", lambda _: {"mark": "point", "data": {"values": []}}, title="", command="", record=None)


def test_a_pressed_png_has_the_same_pixels():
    raw = zlib.compress(bytes([0] * 4000), 0)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 6, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", raw[:90]) + chunk(b"IDAT", raw[90:]) + chunk(b"IEND", b"")
    small = pressed(data)
    assert len(small) < 200
    at = small.index(b"IDAT")
    (length,) = struct.unpack(">I", small[at - 4 : at])
    assert zlib.decompress(small[at + 4 : at + 4 + length]) == zlib.decompress(raw)
    assert small.endswith(chunk(b"IEND", b""))


def test_the_breakdown_of_the_mean_is_its_arithmetic():
    """f liars at -20 m pull the mean of n to (n - f - 20 f) m / n; without liars only the rounding is left."""
    model = Model(n=10, d=400, spread=2.0, signal=1.0)
    curve = breakdown_curve(parse_defence("mean"), model, trials=1)
    for f in (1, 2, 4):
        honest = honest_part(draw_clients(model), f)
        lies = np.clip(-20 * honest.mean, -127, 127)
        expected = np.linalg.norm(f / 10 * (lies - honest.mean)) / honest.length
        assert curve.error["ipm"][f] == pytest.approx(expected, rel=0.01)
        flipped = np.linalg.norm(2 * f / 10 * honest.mean) / honest.length
        assert curve.error["sign-flip"][f] == pytest.approx(flipped, rel=0.05)
    assert curve.error["alie"][0] < 0.1


def test_a_breakdown_curve_ends_where_the_rule_refuses():
    curve = breakdown_curve(parse_defence("bulyan"), Model(n=8, d=10), trials=1)
    assert [math.isnan(error) for error in curve.error["ipm"]] == [False, False, True, True]
    assert "needs 11 clients" in curve.refused
    assert curve.record()["error"]["ipm"][2] is None
    chart = json.dumps(breakdown_chart([curve], LIGHT))
    assert '"refused"' in chart
    assert "NaN" not in chart


def test_every_rule_of_the_package_has_a_picture_with_a_defence_that_can_be_built():
    for rule in pages():
        for name in page_defences(rule):
            breakdown_curve(parse_defence(name), Model(n=3, d=2), trials=1)


def test_charts_are_in_both_themes_and_hold_no_nan(small):
    for theme in THEMES:
        text = json.dumps(phase_chart(small, theme))
        assert theme.arms[0] in text
        assert "NaN" not in text
