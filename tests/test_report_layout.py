"""A report in a real browser on a desktop's and on a phone's screen: what must be in view, and what must not touch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sepkit import Audio
from sepkit.evaluation.report import PageOptions, write_report
from sepkit.evaluation.score import Cost, Score, ScoreLog

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium (requirements-dev.txt)")

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.skipif(not BROWSER, reason="needs a browser: apt-get install chromium"),
    pytest.mark.skipif(not DRIVER, reason="needs the browser's driver: apt-get install chromium-driver"),
    pytest.mark.timeout(240),
]
FLAGS = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-background-networking"
RATE, SECONDS = 8000, 5.0
STEMS = ("vocals", "drums", "bass", "other")
METHODS = {"a_method_with_a_long_name": 12.0, "mixture": -6.0, "small": 2.0}


def make_run(folder: Path) -> Path:
    """One short song and the scores of two more, with windows and times."""
    rng = np.random.default_rng(0)
    for name in ("mixture", *STEMS):
        Audio(0.1 * rng.standard_normal((1, round(SECONDS * RATE))).astype(np.float32), RATE).write(
            folder / "references" / "song" / f"{name}.wav"
        )
    rows = []
    for method, value in METHODS.items():
        fields = {"metric": "sdr_mdx", "recipe": "sdx23", "view": STEMS, "dataset": "d"}
        cost = Cost(compute_seconds=abs(value), audio_seconds=SECONDS)
        rows += [
            Score(method=method, track=track, stem=stem, truth=stem, value=value + n, cost=cost, **fields)
            for n, track in enumerate(("song", "Song 2", "song 10"))
            for stem in STEMS
        ]
        frames = [{"time": 0.5 * n, "duration": 0.5, "metrics": {"SDR": value + n}} for n in range(int(2 * SECONDS))]
        path = folder / "windows" / "sdx23" / method / "song.json"
        path.parent.mkdir(parents=True)
        targets = [{"name": stem, "frames": frames} for stem in STEMS]
        path.write_text(json.dumps({"museval_version": "test", "targets": targets}))
    with ScoreLog(folder / "scores.jsonl") as log:
        log.append(rows)
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One browser for all tests, with a page open that has pictures and no sound."""
    from selenium.webdriver.chrome.service import Service

    folder = tmp_path_factory.mktemp("layout")
    write_report([make_run(folder / "run")], folder / "page.html", PageOptions(audio="none"))
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in (*FLAGS.split(), f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        driver.get((folder / "page.html").as_uri())
        yield driver
    finally:
        driver.quit()


def show(browser: Any, view: str, width: int) -> None:
    metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_async_script(  # the second frame is drawn after the page has heard of its address and its size
        "location.hash = arguments[0]; const done = arguments[1];"
        "setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(() => done())), 0)",
        view,
    )


def test_a_phone_has_names_means_and_ranks_in_view(browser: Any) -> None:
    show(browser, "#overview", 390)
    columns, ends = browser.execute_script(
        "const head = [...document.querySelector('table.sortable').tHead.rows[0].cells].slice(0, 3);"
        "return [head.map(one => one.textContent), head.map(one => one.getBoundingClientRect().right)]"
    )
    assert columns == ["method", "mean", "rank"]
    assert max(ends) <= 390
    left = browser.execute_script(
        "const box = document.querySelector('.scroll'); box.scrollLeft = 150;"
        "return box.querySelector('tbody th').getBoundingClientRect().left - box.getBoundingClientRect().left"
    )
    assert left == pytest.approx(0, abs=1)  # the names stay while the numbers move


@pytest.mark.parametrize("width", [1280, 390])
def test_charts_are_whole_and_legible(browser: Any, width: int) -> None:
    show(browser, "#overview", width)
    charts = browser.execute_script(
        "const right = one => one.getBoundingClientRect().right;"
        "return [...document.querySelectorAll('.panel:not([hidden]) figure svg')].filter(one => one.checkVisibility())"
        ".map(svg => [Math.max(...[svg, ...svg.querySelectorAll('text, circle')].map(right)),"
        " svg.getBoundingClientRect().width / svg.viewBox.baseVal.width])"
    )
    assert len(charts) == 2
    for right, scale in charts:
        assert right <= width
        assert scale > 0.9  # letters keep their size


@pytest.mark.parametrize("width", [1280, 390])
def test_times_differ_and_do_not_touch(browser: Any, width: int) -> None:
    show(browser, "#track/song", width)
    for selector in (".times span", ".plot text.time"):
        boxes = browser.execute_script(
            "return [...document.querySelectorAll(arguments[0])]"
            ".map(one => [one.textContent, one.getBoundingClientRect()])"
            ".map(([text, box]) => [text, box.left, box.right])",
            selector,
        )
        texts = [text for text, *_ in boxes]
        assert len(set(texts)) == len(texts) >= 3
        assert all("." in text for text in texts)  # five seconds are told apart by tenths
        assert all(right < left for (_, _, right), (_, left, _) in pairwise(boxes))


def test_curves_say_their_unit_and_differences_unfold(browser: Any) -> None:
    show(browser, "#overview", 1280)
    seen = "return document.querySelector('details.differences table').checkVisibility()"
    assert not browser.execute_script(seen)
    browser.execute_script("document.querySelector('details.differences summary').click()")
    assert browser.execute_script(seen)
    show(browser, "#track/song", 1280)
    assert browser.execute_script("return document.querySelector('.plot text.unit').textContent") == "SDR, dB"
    assert " dB" in browser.execute_script("return document.querySelector('.readout').textContent")
