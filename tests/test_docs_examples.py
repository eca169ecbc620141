"""Every python example in the READMEs and in docs/ runs as it stands, or says before it why it cannot."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sepkit import Audio
from sepkit.testing.signals import music

REPOSITORY = Path(__file__).parents[1]
PAGES = sorted([REPOSITORY / "README.md", *REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("packages/*/README.md")])
FENCE = re.compile(
    r"(?:<!-- not run: (?P<reason>[^>]+?) -->\s*\n)?"
    r"^(?P<indent> *)```(?:python|py)\b(?P<info>[^\n]*)\n(?P<code>.*?)^(?P=indent)```",
    re.DOTALL | re.MULTILINE,
)
INSTALLED_PAGES = {"docs/extending.md"}  # their titled blocks are files, which test_stranger_plugin installs and runs


@dataclass(frozen=True)
class Example:
    """A python block of a page: where it stands, and why it isn't run, if it isn't."""

    page: str
    line: int
    code: str
    reason: str | None

    @property
    def place(self) -> str:
        """`page:line`, as tracebacks show it."""
        return f"{self.page}:{self.line}"


def examples(page: Path) -> Iterator[Example]:
    """The python blocks of a page in reading order."""
    text = page.read_text(encoding="utf-8")
    name = page.relative_to(REPOSITORY).as_posix() if page.is_relative_to(REPOSITORY) else page.name
    for match in FENCE.finditer(text):
        reason = match["reason"]
        if "title=" in match["info"] and name in INSTALLED_PAGES:
            reason = "a file of the package that test_stranger_plugin installs and runs"
        line = text.count("\n", 0, match.start("code")) + 1
        code = re.sub(rf"^{match['indent']}", "", match["code"], flags=re.MULTILINE)
        yield Example(name, line, code, reason)


def run(example: Example, names: dict[str, object]) -> None:
    """Run a block with the names that the page's earlier blocks left; its line numbers are the page's."""
    source = "\n" * (example.line - 1) + example.code
    exec(compile(source, example.page, "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_the_examples_of_a_page_run_in_order(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = list(examples(page))
    for example in found:
        compile(example.code, example.place, "exec")  # also those that aren't run
    wanted = [example for example in found if example.reason is None]
    if not wanted:
        pytest.skip("no python example to run on this page")
    Audio(music(44_100, 2, 88_200), 44_100).write(tmp_path / "song.wav")  # what examples find in their folder
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": f"example_of_{page.stem}"}
    for example in wanted:
        run(example, names)


def test_a_page_is_read_as_a_reader_would(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```python\na = 1\n```\n\n"
        "<!-- not run: needs a GPU -->\n```python\nb = 1\n```\n\n"
        "```sh\nls\n```\n\n"
        "1. a list\n\n   ```py\n   c = a + 1\n   assert c == 2\n   ```\n"
    )
    found = list(examples(page))
    assert [(example.line, example.reason) for example in found] == [(2, None), (7, "needs a GPU"), (17, None)]
    assert found[2].code == "c = a + 1\nassert c == 2\n"


def test_a_failing_example_fails_at_its_line_of_the_page() -> None:
    with pytest.raises(ZeroDivisionError) as failure:
        run(Example("docs/page.md", 40, "x = 1\nx / 0\n", None), {})
    last = failure.traceback[-1]
    assert str(last.path).endswith("docs/page.md")
    assert last.lineno + 1 == 41
