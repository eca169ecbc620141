"""Laws of the charts: marks stand where their values are, names overlap nothing, and the front is never beaten."""

from __future__ import annotations

from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sepkit.evaluation.charts import Point, Series, Tracks, box_plot, grouped_bars, quality_compute_plot
from sepkit.evaluation.charts.axes import LETTER, round_step, scale_of, shortened
from sepkit.evaluation.charts.labels import CLEAR, _overlap, _room, place_labels
from sepkit.evaluation.charts.scatter import front

SVG = "{http://www.w3.org/2000/svg}"
BOUNDS = (0.0, 0.0, 700.0, 300.0)


def parsed(chart: str) -> ElementTree.Element:
    return ElementTree.fromstring(chart.split("</svg>")[0] + "</svg>")


def said(chart: str) -> list[str]:
    return [title.text for title in parsed(chart).iter(f"{SVG}title")]


@settings(max_examples=200, deadline=None)
@given(values=st.lists(st.floats(-1e4, 1e4).map(lambda x: round(x, 4)), min_size=1, max_size=5))
def test_an_axis_holds_its_values_between_round_numbers(values: list[float]):
    scale = scale_of(values)
    levels = scale.levels()
    assert 2 <= len(levels) <= 11
    assert levels[0] == pytest.approx(scale.low)
    assert levels[-1] == pytest.approx(scale.high)
    assert scale.low - 1e-6 * scale.step <= min(values) <= max(values) <= scale.high + 1e-6 * scale.step
    if scale.low < 0 < scale.high:
        assert 0.0 in levels
    assert f"{scale.step:.0e}"[0] in "125"


def test_steps_are_round_and_few():
    assert [round_step(span) for span in (0.7, 8.0, 9.0, 30.0)] == pytest.approx([0.1, 1.0, 2.0, 5.0])


def test_charts_are_well_formed_whatever_names_hold():
    name = '<a & "b">'
    charts = (
        grouped_bars([name], [Series(name, [1.0], intervals=[(0.5, 1.5)])], name, label=name),
        box_plot([name], [Tracks(name, [{name: 1.0}])], name, label=name),
        quality_compute_plot([Point(name, 0.1, 2.0, (1.0, 3.0))], name, name, label=name),
    )
    for chart in charts:
        root = parsed(chart)
        assert root.get("role") == "img"
        assert root.get("aria-label") == name
        assert any(name in text for text in said(chart))
        assert "http" not in chart.replace("http://www.w3.org/2000/svg", "")
    assert grouped_bars(["g"], [Series("a", [None])], "") == ""
    assert box_plot(["g"], [Tracks("a", [{}])], "") == ""
    assert quality_compute_plot([Point("a", None, 1.0), Point("b", 1.0, None), Point("c", 0.0, 1.0)], "m", "") == ""


def test_whiskers_span_the_interval():
    series = [Series("a", [4.0], intervals=[(3.0, 6.0)]), Series("b", [2.0], intervals=[None])]
    chart = grouped_bars(["g"], series, "dB")
    assert said(chart) == ["a, g: 4.00 dB [3.00, 6.00]", "b, g: 2.00 dB"]
    [whisker] = parsed(chart).iter(f"{SVG}path")
    bars = [float(bar.get("height")) for bar in parsed(chart).iter(f"{SVG}rect")]
    top, rest = whisker.get("d").split(" ", 1)[1].split("h", 1)
    bottom = rest.split("V")[1].split("m")[0]
    assert float(bottom) - float(top) == pytest.approx(bars[0] * 3 / 4, abs=0.3)
    assert bars[0] == pytest.approx(2 * bars[1], abs=0.2)


def test_boxes_are_quartiles_and_dots_are_tracks():
    scores = {f"song {i}": float(i) for i in range(9)}
    chart = box_plot(["vocals"], [Tracks("a", [scores])], "dB")
    assert said(chart)[0] == "a, vocals: median 4.00 dB, 9 track(s), quartiles 2.00 and 6.00"
    assert sorted(said(chart)[1:]) == [f"song {i}: {i:.2f} dB" for i in range(9)]
    [box] = parsed(chart).iter(f"{SVG}rect")
    dots = [float(dot.get("cx")) for dot in parsed(chart).iter(f"{SVG}circle")]
    assert float(box.get("x")) == pytest.approx(dots[2], abs=0.2)
    assert float(box.get("x")) + float(box.get("width")) == pytest.approx(dots[6], abs=0.3)


def test_many_tracks_are_dots_only_beyond_the_whiskers_and_few_have_no_box():
    many = {f"song {i}": float(i % 10) for i in range(100)} | {"odd one": 60.0}
    few = {"one": 1.0, "two": 2.0}
    chart = box_plot(["g"], [Tracks("many", [many]), Tracks("few", [few]), Tracks("nothing", [{}])], "")
    assert [text for text in said(chart) if text.startswith(("odd", "song"))] == ["odd one: 60.00"]
    assert len(list(parsed(chart).iter(f"{SVG}rect"))) == 1
    assert len(list(parsed(chart).iter(f"{SVG}circle"))) == 3
    assert "few, g: median 1.50, 2 track(s)" in said(chart)
    assert not any("nothing" in text for text in parsed(chart).itertext())


PLACES = st.tuples(st.floats(1e-3, 1e3), st.floats(-20, 20), st.booleans())
POINTS = st.lists(PLACES.map(lambda place: Point("x", place[0], place[1], muted=place[2])), max_size=12)


@settings(max_examples=100, deadline=None)
@given(points=POINTS, higher=st.booleans())
def test_nothing_on_the_front_is_beaten_and_all_else_is(points: list[Point], higher: bool):
    sign = 1 if higher else -1
    able = [point for point in points if not point.muted]
    ahead = front(points, higher_is_better=higher)
    for point in able:
        beaten = any(
            other.seconds_per_second <= point.seconds_per_second
            and sign * other.quality >= sign * point.quality
            and (other.seconds_per_second, other.quality) != (point.seconds_per_second, point.quality)
            for other in able
        )
        assert (point in ahead) == (not beaten)
    assert ahead == sorted(ahead, key=lambda point: point.seconds_per_second)


def test_names_overlap_neither_each_other_nor_points():
    rng = np.random.default_rng(0)
    points = [(float(x), float(y)) for x, y in zip(rng.uniform(220, 480, 20), rng.uniform(60, 240, 20), strict=True)]
    points[1] = (points[0][0] + 3.0, points[0][1] + 2.0)
    names = [f"method_{index}" for index in range(20)]
    rooms = [
        _room(spot, LETTER * len(name)) for spot, name in zip(place_labels(points, names, BOUNDS), names, strict=True)
    ]
    assert not any(_overlap(one, other) for one, other in combinations(rooms, 2))
    marks = [(x - CLEAR, y - CLEAR, x + CLEAR, y + CLEAR) for x, y in points]
    assert not any(_overlap(room, mark) for room in rooms for mark in marks)
    assert place_labels([points[0]] * 60, ["the same place"] * 60, BOUNDS)  # no room for all: still an answer


def test_the_plot_marks_every_method_and_the_front():
    points = [
        Point("cheap", 0.01, 1.0),
        Point("good", 1.0, 5.0, (4.0, 6.0)),
        Point("poor", 2.0, 3.0),
        Point("oracle", 0.005, 9.0, None, True),
    ]
    chart = quality_compute_plot(points, "sdr_mdx", "dB")
    assert "the best that can be had for so much compute: cheap, good" in said(chart)
    assert "good: 5.00 dB [4.00, 6.00], 1 s per s" in said(chart)
    x = {}
    for group in parsed(chart).iter(f"{SVG}g"):
        x[group.find(f"{SVG}title").text.split(":")[0]] = float(group.find(f"{SVG}circle").get("cx"))
    per_decade = (x["good"] - x["cheap"]) / 2
    assert x["poor"] - x["good"] == pytest.approx(per_decade * np.log10(2), abs=0.2)
    assert "less is better" in quality_compute_plot(points, "mrstft", "", higher_is_better=False)


def test_colours_go_by_name_where_they_are_given():
    colours = {"a": "#123456"}
    assert 'fill="#123456"' in grouped_bars(["g"], [Series("a", [1.0])], "", colours=colours)
    assert 'fill="#123456"' in box_plot(["g"], [Tracks("a", [{"t": 1.0}])], "", colours=colours)
    assert 'fill="#123456"' in quality_compute_plot([Point("a", 1.0, 1.0)], "m", "", colours=colours)


def test_long_names_keep_both_ends():
    assert shortened("short", 10) == "short"
    assert shortened("separator_v1_large", 9) == "sepa…arge"
    assert len(shortened("x" * 50, 28)) == 28


def test_a_narrow_chart_keeps_marks_and_words_inside():
    names = ["a_method_with_a_long_name", "b"]
    boxes = box_plot(["vocals"], [Tracks(name, [{"x": -20.0, "y": 15.0}]) for name in names], "dB", width=360)
    points = [Point(name, 10.0**n, float(n)) for n, name in enumerate(names)]
    for chart in (boxes, quality_compute_plot(points, "m", "dB", width=360)):
        root = parsed(chart)
        assert root.get("viewBox").split()[2] == "360"
        assert all(0 < float(dot.get("cx")) < 360 for dot in root.iter(f"{SVG}circle"))
        for text in root.iter(f"{SVG}text"):
            x, length = float(text.get("x")), LETTER * len(text.text)
            left = {"start": x, "middle": x - length / 2, "end": x - length}[text.get("text-anchor")]
            assert -1 <= left <= left + length <= 366, text.text
