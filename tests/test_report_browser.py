"""A report in a real browser: it loads nothing, everything plays, and switching loses neither position nor sample."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sepkit import Audio
from sepkit.evaluation.recipe import RECIPES
from sepkit.evaluation.report import PageOptions, write_report
from sepkit.evaluation.score import Score, ScoreLog

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium (requirements-dev.txt)")

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.skipif(not BROWSER, reason="needs a browser: apt-get install chromium"),
    pytest.mark.skipif(not DRIVER, reason="needs the browser's driver: apt-get install chromium-driver"),
    pytest.mark.timeout(240),
]
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --autoplay-policy=no-user-gesture-required --disable-dev-shm-usage"
)

RATE, SECONDS = 22050, 5.0
TONES_HZ = {"vocals": 440.0, "drums": 1200.0, "bass": 110.0, "other": 660.0}
STEMS = tuple(TONES_HZ)
LEVEL = 0.15
HOSTILE = "</script><img src=x onerror=alert(1)>"
TRACKS = ("a quiet song", HOSTILE)
METHODS = {"perfect": 1.0, "half": 0.5}  # gain of every stem
STEP = 1 / 32768


def stems_of(track: str) -> dict[str, np.ndarray]:
    """Steady tones with a little noise, so that the level does not depend on the moment: c t."""
    rng = np.random.default_rng(TRACKS.index(track))
    time_seconds = np.arange(round(SECONDS * RATE)) / RATE
    return {
        stem: np.stack([LEVEL * np.sin(2 * np.pi * hz * time_seconds), LEVEL * np.cos(2 * np.pi * hz * time_seconds)])
        + 0.001 * rng.standard_normal((2, time_seconds.size))
        for stem, hz in TONES_HZ.items()
    }


def make_run(folder: Path) -> Path:
    """A run's folder as the harness leaves it, without separating anything: rows, stems, references and windows."""
    from sepkit.evaluation.out_folder import file_name

    recipe, rows = RECIPES["sdx23"], []
    for track in TRACKS:
        truths = {stem: x.astype(np.float32) for stem, x in stems_of(track).items()}
        mixture = sum(truths.values())
        references = folder / "references" / file_name(track)
        for name, x in {**truths, "mixture": mixture}.items():
            Audio(x, RATE).write(references / f"{name}.wav")
        for method, gain in METHODS.items():
            estimates = {stem: (gain * x).astype(np.float32) for stem, x in truths.items()}
            for stem, x in estimates.items():
                Audio(x, RATE).write(folder / "stems" / method / file_name(track) / f"{stem}.wav")
            label = {"method": method, "track": track, "recipe": recipe.name, "dataset": "tones"}
            rows += [
                Score(**label, view=STEMS, stem=one.stem, metric=one.metric, value=one.value, truth=one.stem)
                for one in recipe.score(truths, estimates, mixture, RATE)
            ]
            windows = folder / "windows" / recipe.name / method / f"{file_name(track)}.json"
            windows.parent.mkdir(parents=True, exist_ok=True)
            windows.write_text(json.dumps(windows_of(gain)))
    with ScoreLog(folder / "scores.jsonl") as log:
        log.append(rows)
    return folder


def windows_of(gain: float) -> dict[str, Any]:
    """Half-second windows in museval's schema; one of them without a number."""
    frames = [
        {"time": 0.5 * n, "duration": 0.5, "metrics": {"SDR": float("nan") if n == 3 else 10 * gain + n}}
        for n in range(int(2 * SECONDS))
    ]
    return {"museval_version": "test", "targets": [{"name": stem, "frames": frames} for stem in TONES_HZ]}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report, alone in a folder that nothing else lies in."""
    run = make_run(tmp_path_factory.mktemp("tones") / "run")
    path = tmp_path_factory.mktemp("report") / "report.html"
    written = write_report([run], path, PageOptions(title="Tones & noise"))
    assert written.audible == len(TRACKS)
    shutil.rmtree(run)
    return path


@pytest.fixture(scope="module")
def browser(page: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One browser for all tests, with the page open."""
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in (*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_script_timeout(30)
    try:
        driver.get(page.as_uri())
        yield driver
    finally:
        driver.quit()


@pytest.fixture(autouse=True)
def desktop(browser: Any) -> None:
    """Every test begins on the overview in a desktop window."""
    resize(browser, 1280, 900)
    browser.execute_script("location.hash = '#overview'")
    until(lambda: state(browser)["view"] == "overview")


def resize(browser: Any, width: int, height: int) -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def state(browser: Any) -> dict[str, Any]:
    return browser.execute_script("return sepkitReport.state()")


def until(condition: Callable[[], Any], seconds: float = 15.0) -> Any:
    """The first true value of `condition`; a machine may be slow, so it has time."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return value


def open_track(browser: Any, track: str = TRACKS[0]) -> None:
    """Open a track's page by its address, with the sound of its first stem decoded."""
    browser.execute_script("location.hash = '#track/' + encodeURIComponent(arguments[0])", track)
    until(lambda: state(browser).get("track") == track and len(state(browser)["decoded"]) >= 3)


def click(browser: Any, selector: str, text: str | None = None) -> None:
    browser.execute_script(
        "const found = [...document.querySelectorAll(arguments[0])]"
        ".find(one => arguments[1] === null || one.textContent.trim() === arguments[1]); found.click()",
        selector,
        text,
    )


def press(browser: Any, key: str) -> None:
    browser.execute_script(
        "document.activeElement.blur(); document.body.dispatchEvent("
        "new KeyboardEvent('keydown', { key: arguments[0], bubbles: true }))",
        key,
    )


def play(browser: Any) -> None:
    """Play in a loop, so that a slow machine does not come to the end, and wait until the position moves."""
    if not state(browser)["playing"]:
        click(browser, "button.play")
    until(lambda: state(browser)["playing"] and state(browser)["position"] > 0.02)
    if state(browser)["loop"] is None:
        press(browser, "l")


def level(browser: Any) -> float:
    """The loudest sample of a moment a little later, when a switch has faded."""
    time.sleep(0.15)
    return state(browser)["level"]


def test_the_page_loads_nothing_and_complains_of_nothing(browser: Any, page: Path) -> None:
    open_track(browser)
    open_track(browser, HOSTILE)
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    ours = {one["request"]["url"] for one in asked if not one["documentURL"].startswith("chrome://")}  # its new tab
    assert {url for url in ours if not url.startswith("data:")} == {page.as_uri()}
    assert browser.get_log("browser") == []
    assert browser.title == "Tones & noise"


def test_every_file_decodes_to_the_samples_that_were_scored(browser: Any) -> None:
    open_track(browser)
    found = browser.execute_async_script(
        """
        const done = arguments[arguments.length - 1], tags = [...document.querySelectorAll("script[id^=clip-]")];
        Promise.all(tags.map(async tag => {
          const bytes = Uint8Array.from(atob(tag.textContent), c => c.charCodeAt(0));
          const buffer = await new OfflineAudioContext(1, 1, arguments[0]).decodeAudioData(bytes.buffer);
          return [buffer.length, buffer.numberOfChannels, [...buffer.getChannelData(1).slice(1000, 1200)]];
        })).then(done, error => done(String(error)));
        """,
        RATE,
    )
    assert isinstance(found, list), found
    files = []
    for stems in map(stems_of, TRACKS):
        files += [sum(stems.values()), *stems.values(), *(0.5 * x for x in stems.values())]
    assert len(found) == len(files)  # the perfect method's are the references' and so are there once
    for length, channels, samples in found:
        assert (length, channels) == (round(SECONDS * RATE), 2)
        nearest = min(np.abs(np.array(samples) - x[1, 1000:1200]).max() for x in files)
        assert nearest <= 1.51 * STEP  # half a step of rounding, one of dither


@pytest.mark.parametrize("track", TRACKS, ids=["plain", "hostile name"])
def test_every_player_plays(browser: Any, track: str) -> None:
    open_track(browser, track)
    for stem in TONES_HZ:
        click(browser, ".stem .name", stem)
        until(lambda: len(set(state(browser)["decoded"]) & set(map(int, state(browser)["gains"]))) == 1)
        play(browser)
        for name, expected in {"mixture": 0.3, "reference": LEVEL, "perfect": LEVEL, "half": LEVEL / 2}.items():
            browser.execute_script(
                "[...document.querySelectorAll('.source')]"
                ".find(one => one.querySelector('.name').textContent === arguments[0]).click()",
                name,
            )
            before = state(browser)
            assert before["source"] == name
            assert before["words"] == (name if name == "mixture" else f"{stem}: {name}")
            heard = level(browser)
            assert heard > expected if name == "mixture" else heard == pytest.approx(expected, rel=0.35)
            assert state(browser)["position"] != before["position"]
        browser.execute_script(
            "document.querySelector('.seek').value = 0;"
            "document.querySelector('.seek').dispatchEvent(new Event('input'))"
        )


def test_switching_keeps_the_position_and_changes_what_is_heard(browser: Any) -> None:
    open_track(browser)
    play(browser)
    levels = {}
    for key, name in (("3", "perfect"), ("4", "half"), ("3", "perfect")):
        before, after = browser.execute_script(
            "const before = sepkitReport.state();"
            "document.body.dispatchEvent(new KeyboardEvent('keydown', { key: arguments[0], bubbles: true }));"
            "return [before, sepkitReport.state()]",
            key,
        )
        assert abs(after["position"] - before["position"]) < 0.03
        assert after["source"] == name
        levels[name] = level(browser)
    assert levels["half"] == pytest.approx(levels["perfect"] / 2, rel=0.1)
    press(browser, "x")
    assert state(browser)["source"] == "half"  # back to what was heard before


def test_the_null_of_equal_signals_is_silent_and_of_others_is_not(browser: Any) -> None:
    open_track(browser)
    play(browser)
    press(browser, "3")
    press(browser, "n")
    assert state(browser)["words"] == "vocals: reference − perfect"
    until(lambda: level(browser) == 0.0)
    press(browser, "4")
    assert state(browser)["words"] == "vocals: reference − half"
    assert level(browser) == pytest.approx(LEVEL / 2, rel=0.35)
    press(browser, "n")
    assert state(browser)["words"] == "mixture − all stems of half"
    until(lambda: len(state(browser)["decoded"]) >= 6)
    assert level(browser) > LEVEL / 2
    press(browser, "3")
    until(lambda: 0 < level(browser) < 8 * STEP)  # five files, each rounded for itself
    press(browser, "n")
    assert state(browser)["null"] == "plain"


def test_solo_and_mute_choose_the_stems(browser: Any) -> None:
    open_track(browser)
    press(browser, "4")
    click(browser, "button.solo[aria-label='solo bass']")
    assert state(browser)["words"] == "vocals + bass: half"
    click(browser, "button.mute[aria-label='mute vocals']")
    assert state(browser)["words"] == "bass: half"
    click(browser, "button.solo[aria-label='solo vocals']")
    click(browser, "button.solo[aria-label='solo bass']")
    assert state(browser)["words"] == "drums + bass + other: half"


def test_a_click_on_a_curve_plays_from_that_window(browser: Any) -> None:
    open_track(browser)
    play(browser)
    box = browser.execute_script(
        "const svg = document.querySelector('.plot svg'); svg.scrollIntoView({ block: 'center' });"
        "return svg.getBoundingClientRect().toJSON()"
    )
    click_at(browser, box["x"] + box["width"] * 3.2 / SECONDS, box["y"] + box["height"] / 2)
    position = until(lambda: state(browser)["position"] >= 3.0 and state(browser)["position"])
    assert position < 3.45  # the window that holds 3.2 s begins at 3.0 s
    assert "0:03.0 – 0:03.5" in browser.execute_script("return document.querySelector('.readout').textContent")
    paths = browser.execute_script("return [...document.querySelectorAll('.lines path')].map(p => p.getAttribute('d'))")
    assert [path.count("M") for path in paths] == [2, 2]  # broken at the window without a number
    click(browser, ".curves .legend input")
    assert browser.execute_script("return document.querySelectorAll('.lines path').length") == 1


def click_at(browser: Any, x: float, y: float) -> None:
    for kind in ("mousePressed", "mouseReleased"):
        event = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
        browser.execute_cdp_cmd("Input.dispatchMouseEvent", event)


def test_a_drag_over_a_spectrogram_loops(browser: Any) -> None:
    open_track(browser)
    box = browser.execute_script(
        "const box = document.querySelector('.picture'); box.scrollIntoView({ block: 'center' });"
        "return box.getBoundingClientRect().toJSON()"
    )
    y = box["y"] + box["height"] / 2
    for kind, share in (("mousePressed", 0.4), ("mouseMoved", 0.45), ("mouseMoved", 0.5), ("mouseReleased", 0.5)):
        event = {"type": kind, "x": box["x"] + box["width"] * share, "y": y, "button": "left", "clickCount": 1}
        browser.execute_cdp_cmd("Input.dispatchMouseEvent", event)
    play(browser)
    assert state(browser)["loop"] == pytest.approx([0.4 * SECONDS, 0.5 * SECONDS], abs=0.02)
    for _ in range(6):
        time.sleep(0.2)
        assert 0.39 * SECONDS <= state(browser)["position"] <= 0.51 * SECONDS
    press(browser, "l")
    assert state(browser)["loop"] is None


def test_the_keyboard_does_it_all(browser: Any) -> None:
    open_track(browser)
    press(browser, " ")
    until(lambda: state(browser)["playing"])
    press(browser, " ")
    until(lambda: not state(browser)["playing"])
    press(browser, "Home")
    press(browser, "ArrowRight")
    press(browser, "ArrowRight")
    press(browser, "ArrowLeft")
    assert state(browser)["position"] == pytest.approx(1.0)
    press(browser, "j")
    assert state(browser)["stem"] == "drums"
    press(browser, "k")
    assert state(browser)["stem"] == "vocals"
    press(browser, "1")
    assert state(browser)["source"] == "mixture"
    press(browser, "9")  # there is no ninth
    assert state(browser)["source"] == "mixture"
    names = browser.execute_script(
        "return [...document.querySelectorAll('button, input, select')].filter(one => one.offsetParent)"
        ".filter(one => !(one.textContent.trim() || one.ariaLabel || one.closest('label')))"
        ".map(one => one.outerHTML)"
    )
    assert names == []  # everything that takes the focus has a name to read out


def test_tables_sort_by_a_click(browser: Any) -> None:
    def column() -> list[str]:
        return browser.execute_script(
            "return [...document.querySelector('table.sortable').tBodies[0].rows].map(row => row.cells[0].textContent)"
        )

    assert sorted(column()) == ["half", "perfect"]
    click(browser, "table.sortable th button", "vocals")
    assert column() == ["perfect", "half"]
    click(browser, "table.sortable th button", "vocals")
    assert column() == ["half", "perfect"]


def test_an_address_opens_its_track_and_stem(browser: Any) -> None:
    click(browser, "#overview table a", HOSTILE)
    until(lambda: state(browser).get("track") == HOSTILE)
    assert browser.execute_script("return document.querySelector('#track h2').textContent") == HOSTILE
    assert browser.execute_script("return document.querySelectorAll('img[src=x]').length") == 0
    browser.execute_script("location.hash = '#track/' + encodeURIComponent(arguments[0]) + '/bass'", TRACKS[0])
    until(lambda: (state(browser).get("track"), state(browser).get("stem")) == (TRACKS[0], "bass"))
    click(browser, "nav.tracks a", "← overview")
    until(lambda: state(browser)["view"] == "overview")
    assert browser.execute_script("return document.querySelector('#overview').checkVisibility()")


def test_a_phone_needs_no_sideways_scrolling(browser: Any) -> None:
    resize(browser, 390, 844)
    for track in (None, *TRACKS):
        if track is not None:
            open_track(browser, track)
        width, window = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
        assert (track, width, window) == (track, 390, 390)
