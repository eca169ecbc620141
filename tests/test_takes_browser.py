"""Generated music, and maps of uncertainty, in a real browser: every stem plays, alone, muted and together."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sepkit import Audio, Stems
from sepkit.evaluation.report import PageOptions, write_report
from sepkit.evaluation.score import Score, ScoreLog
from sepkit.uncertainty import SpreadMap, save_uncertainty

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium (requirements-dev.txt)")

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.skipif(not BROWSER, reason="needs a browser: apt-get install chromium"),
    pytest.mark.skipif(not DRIVER, reason="needs the browser's driver: apt-get install chromium-driver"),
    pytest.mark.timeout(400),
]
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --autoplay-policy=no-user-gesture-required --disable-dev-shm-usage"
)
RATE, SECONDS, LEVEL = 22050, 4.0, 0.15
TONES_HZ = {"bass": 110.0, "drums": 1200.0, "piano": 440.0}


def tone(hz: float) -> Audio:
    return Audio(LEVEL * np.sin(2 * np.pi * hz * np.arange(round(SECONDS * RATE)) / RATE)[None], RATE)


def make_take(folder: Path) -> Path:
    facts = {
        "method": "tones",
        "generation": "arrangement",
        "given": ["drums"],
        "generated": ["bass", "piano"],
        "seed": 3,
    }
    Stems({stem: tone(hz) for stem, hz in TONES_HZ.items()}, provenance=facts).save(folder)
    return folder


def make_run(folder: Path) -> Path:
    """One method with a map of its uncertainty in one stem."""
    stems = {stem: tone(hz) for stem, hz in TONES_HZ.items()}
    total = Audio(sum(part.samples for part in stems.values()), RATE)
    total.write(folder / "references" / "song" / "mixture.wav")
    for stem, part in stems.items():
        part.write(folder / "references" / "song" / f"{stem}.wav")
        part.write(folder / "stems" / "guess" / "song" / f"{stem}.wav")
    frames = 1 + round(SECONDS * RATE) // 1024
    spread = np.full((1025, frames), 0.01, np.float32)
    save_uncertainty({"bass": SpreadMap(spread, spread, RATE, 2048, 1024)}, folder / "stems/guess/song/uncertainty.npz")
    fields: dict[str, Any] = {
        "metric": "sdr_mdx",
        "recipe": "sdx23",
        "view": tuple(stems),
        "dataset": "d",
        "value": 1.0,
    }
    with ScoreLog(folder / "scores.jsonl") as log:
        log.append([Score(**fields, method="guess", track="song", stem=stem, truth=stem) for stem in stems])
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from selenium.webdriver.chrome.service import Service

    folder = tmp_path_factory.mktemp("page")
    path = folder / "report.html"
    write_report([make_run(folder / "run"), make_take(folder / "my <take>")], path, PageOptions())
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in (*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_script_timeout(60)
    try:
        driver.get(path.as_uri())
        yield driver
    finally:
        driver.quit()


def state(browser: Any) -> dict[str, Any]:
    return browser.execute_script("return sepkitReport.state()")


def until(condition: Callable[[], Any], seconds: float = 40.0) -> Any:
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return value


def click(browser: Any, selector: str) -> None:
    browser.execute_script("document.querySelector(arguments[0]).click()", selector)


def level(browser: Any) -> float:
    time.sleep(0.4)
    return float(state(browser)["level"])


def test_a_take_plays_its_stems(browser: Any) -> None:
    link = "section.takes tbody a"
    assert browser.execute_script(f"return document.querySelector('{link}').textContent") == "my <take>"
    click(browser, link)
    until(lambda: state(browser).get("view") == "take" and len(state(browser)["decoded"]) == 3)
    assert state(browser)["words"] == "bass + drums + piano"
    labels = browser.execute_script("return [...document.querySelectorAll('.source')].map(one => one.textContent)")
    assert ["given" in label for label in labels] == [False, True, False]
    assert browser.execute_script("return document.querySelectorAll('.picture img').length") == 3
    click(browser, "button.play")
    click(browser, "button.loop")
    until(lambda: state(browser)["playing"] and state(browser)["position"] > 0.02)
    assert level(browser) > 2 * LEVEL
    click(browser, "button[aria-label='solo bass']")
    assert state(browser)["words"] == "bass"
    assert level(browser) == pytest.approx(LEVEL, rel=0.2)
    click(browser, "button[aria-label='mute bass']")
    assert state(browser)["words"] == "nothing"
    assert level(browser) < 0.01
    for key in ("j", "3", "x"):  # keys of tracks have no meaning here
        browser.execute_script(
            "document.body.dispatchEvent(new KeyboardEvent('keydown', { key: arguments[0], bubbles: true }))", key
        )
    assert browser.get_log("browser") == []


def test_a_map_is_below_its_stem_and_no_other(browser: Any) -> None:
    browser.execute_script("location.hash = '#track/song/bass'")
    until(lambda: state(browser).get("track") == "song")
    rows = "return [...document.querySelectorAll('.sources .row:not(.axis)')].map(row => row.textContent)"
    assert sum("their spread" in text for text in browser.execute_script(rows)) == 1
    assert browser.execute_script("return document.querySelector('.row.map img').naturalWidth") == 600
    browser.execute_script("location.hash = '#track/song/drums'")
    until(lambda: state(browser)["stem"] == "drums")
    assert not any("their spread" in text for text in browser.execute_script(rows))
    assert json.dumps(browser.get_log("browser")) == "[]"
