"""The web page in a real browser: upload, separate, play, download; bad files get an answer; nothing is left behind."""

from __future__ import annotations

import io
import json
import shutil
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from sepkit import Audio, registry
from sepkit.testing.fakes import Noisy
from sepkit.testing.signals import music

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium (requirements-dev.txt)")
pytest.importorskip("gradio", reason="needs the extra web (requirements-dev.txt)")

from sepkit.web.limits import Limits  # noqa: E402
from sepkit.web.server import Server  # noqa: E402

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
RATE, SECONDS = 8000, 3.0
METHOD = "aaa_noisy"  # the first of the list where lightsaft is not installed


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """The page on a port of its own; its folder is gone afterwards."""
    with (
        registry.register(METHOD, lambda: Noisy(name=METHOD, stems=("vocals", "rest"))),
        Server(Limits(max_minutes=1, max_megabytes=2)) as made,
    ):
        yield made
    assert not made.jobs.folder.exists()


@pytest.fixture(scope="module")
def browser(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in (*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        resize(driver, 1280, 900)
        driver.get(server.url)
        until(lambda: one(driver, "#start"), 60)
        yield driver
    finally:
        driver.quit()


def resize(browser: Any, width: int, height: int) -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def one(browser: Any, selector: str) -> Any:
    found = browser.find_elements("css selector", selector)
    return found[0] if found else None


def until(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """The first true value of `condition`; a machine may be slow, so it has time."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return value


def told(browser: Any) -> str:
    return str(browser.execute_script("return document.querySelector('#told').innerText"))


def drop(browser: Any, path: Path) -> None:
    """Give the page another file, and wait until it is there."""
    if clear := one(browser, "#file button[aria-label='Clear'], #file button[aria-label='Remove file']"):
        browser.execute_script("arguments[0].click()", clear)
    until(lambda: one(browser, "#file input[type=file]")).send_keys(str(path))
    until(lambda: one(browser, "#file .file-preview, #file table") and not one(browser, "#file .uploading"))


def choose(browser: Any, method: str) -> None:
    box = one(browser, "#method input")
    box.click()
    box.clear()
    box.send_keys(method)
    until(lambda: one(browser, "#method li, ul[role=listbox] li"))
    box.send_keys("\n")


def start(browser: Any) -> None:
    one(browser, "#start").click()


def jobs_left(server: Server) -> list[str]:
    return [path.name for path in server.jobs.folder.iterdir() if path.name != "uploads"]


def files_left(server: Server) -> list[Path]:
    return [path for path in server.jobs.uploads.rglob("*") if path.is_file()]


def test_upload_separate_play_download(browser: Any, server: Server, tmp_path: Path) -> None:
    Audio(music(RATE, 2, round(SECONDS * RATE)), RATE).write(tmp_path / "a song.wav")
    choose(browser, METHOD)
    until(lambda: one(browser, "#draws input")).click()  # there for a random method
    drop(browser, tmp_path / "a song.wav")
    start(browser)
    frame = until(lambda: one(browser, "#result iframe"), 60)
    assert "Done in" in told(browser)
    link = one(browser, "#result a.zip").get_attribute("href")
    with urllib.request.urlopen(link) as answer, zipfile.ZipFile(io.BytesIO(answer.read())) as packed:
        assert sorted(packed.namelist()) == ["provenance.json", "rest.wav", "uncertainty.npz", "vocals.wav"]
        found, rate = soundfile.read(io.BytesIO(packed.read("rest.wav")))
    assert (found.shape, rate) == ((round(SECONDS * RATE), 2), RATE)

    browser.switch_to.frame(frame)
    try:
        state = lambda: browser.execute_script("return window.sepkitReport?.state() ?? {}")  # noqa: E731
        until(lambda: state().get("view") == "take")
        assert browser.execute_script("return document.querySelectorAll('.picture').length") == 5  # two are maps
        browser.execute_script("document.querySelector('button.play').click()")
        until(lambda: state()["playing"] and state()["position"] > 0.05 and state()["level"] > 0.01)
        assert state()["words"] == "vocals + rest"
        browser.execute_script("document.querySelector('button[aria-label=\"mute rest\"]').click()")
        assert state()["words"] == "vocals"
        browser.execute_script("document.querySelector('button[aria-label=\"solo mixture\"]').click()")
        assert state()["words"] == "mixture"
    finally:
        browser.switch_to.default_content()
    assert frame.size["height"] > 300  # as tall as what is in it


def test_a_phone_needs_no_sideways_scrolling(browser: Any, server: Server) -> None:
    assert one(browser, "#result iframe")
    resize(browser, 390, 844)
    try:
        until(lambda: browser.execute_script("return innerWidth") == 390)
        assert browser.execute_script("return document.documentElement.scrollWidth") == 390
        assert browser.execute_script(
            "return document.querySelector('iframe').contentDocument.documentElement.scrollWidth"
            " <= document.querySelector('iframe').clientWidth"
        )
    finally:
        resize(browser, 1280, 900)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("empty.wav", "0 bytes"),
        ("letter.wav", "letter.wav"),
        ("letter.txt", "Known suffixes"),
        ("2h.wav", "120 minutes"),
    ],
)
def test_bad_files_get_an_answer(name: str, words: str, browser: Any, server: Server, tmp_path: Path) -> None:
    before = jobs_left(server)
    path = tmp_path / name
    if name == "2h.wav":
        soundfile.write(path, np.zeros(720_000, np.int16), 100, subtype="PCM_U8")
    else:
        path.write_text("" if name == "empty.wav" else "Dear reader,")
    drop(browser, path)
    start(browser)
    until(lambda: words in told(browser))
    assert "at most 1" in told(browser) or name != "2h.wav"
    assert jobs_left(server) == before


def test_everything_came_from_the_server_and_goes_with_the_page(browser: Any, server: Server) -> None:
    assert jobs_left(server)
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    ours = {m["request"]["url"] for m in asked if not m["documentURL"].startswith("chrome://")}
    assert {url for url in ours if not url.startswith(("data:", "blob:", f"{server.url}/"))} == set()
    browser.get("about:blank")
    until(lambda: not jobs_left(server))
    until(lambda: files_left(server) == [])
