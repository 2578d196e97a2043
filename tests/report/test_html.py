"""The page about a run: what it shows, that it needs nothing, and that nothing in it can act."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pytest_tflm.report.html import as_html
from tests.report.made_runs import HOSTILE, made_run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
)
_OF_THE_BROWSER = re.compile(r"https?://[\w.-]*\.(google|googleapis|gstatic)\.com/")
"""What chromium asks for by itself, whatever page it opens."""
PLOTS = (
    "Board against reference",
    "Differences in LSB",
    "Error by operator",
    "Time by operator",
)


class _Page(HTMLParser):
    """What a browser would act on."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.handlers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "action", "data"):
                self.references.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)


@pytest.fixture(scope="module")
def page() -> str:
    return as_html([made_run()])


def test_the_answer_comes_first(page):
    text = re.sub(r"<[^>]+>|\s+", " ", page[page.index("<body>") :])
    answer = "14 of 40 samples beyond the tolerance, largest 6 LSB"
    assert text.index("Wrong") < text.index(answer) < text.index("Compared")
    for told in ("Try:", "p95 138 µs", "not a board", "5000 of 65536 bytes", "accuracy 50.00%"):
        assert told in text, told


def test_each_plot_is_there_and_has_marks(page):
    figures = re.findall(r"<figure aria-label=\"(.*?): .*?</figure>", page, re.DOTALL)
    assert tuple(figures) == PLOTS
    for figure in re.findall(r"<figure.*?</figure>", page, re.DOTALL):
        assert len(re.findall(r"<(?:use|path)\b", figure)) > 5
        assert "var(--blue)" in figure or "var(--red)" in figure
    inputs = re.findall(r'<td class="figure">(.*?)</td>', page, re.DOTALL)
    assert len(inputs) == 10
    assert all("data:image/png;base64," in each for each in inputs)


def test_identifiers_are_there_once(page):
    found = re.findall(r'\bid="([^"]+)"', page)
    assert len(found) == len(set(found))


def test_it_refers_to_nothing_elsewhere_and_holds_no_script():
    found = _Page(as_html([made_run(name=HOSTILE, operator=HOSTILE)]))
    assert "script" not in found.tags
    assert "iframe" not in found.tags
    assert found.handlers == []
    assert all(each.startswith(("#", "data:")) for each in found.references), found.references


def test_a_thousand_samples_fit_into_two_megabytes():
    assert len(as_html([made_run(samples=1000)]).encode()) <= 2_000_000


def test_a_run_that_was_killed_says_so():
    run = made_run()
    run["complete"] = False
    assert "This run was not finished" in as_html([run])


def test_several_runs_have_a_history():
    runs = [made_run(samples=n, commit=c) for n, c in ((6, "aaaa"), (9, "bbbb"), (12, "cccc"))]
    runs[1]["models"] = []
    page = as_html(runs)
    history = page[page.index('id="history"') :]
    assert history.index("cccc") < history.index("bbbb") < history.index("aaaa")
    for title in ("Largest difference (LSB)", "Accuracy", "Latency p95", "Arena used"):
        assert title in history
    assert "simulator: m.tflite" in history


def test_what_is_missing_is_left_out():
    run = made_run()
    (model,) = run["models"]
    for name in ("verdict", "metrics", "latency", "memory", "baseline"):
        model[name] = None
    model["operator_times"], model["samples"] = [], []
    page = as_html([run])
    assert "<figure" not in page
    run["models"], run["board"] = [], None
    assert "No model was run" in as_html([run])


@pytest.fixture
def browsed(tmp_path: Path) -> Callable[..., tuple[str, str, str]]:
    """Opens a page in a browser: its document afterwards, the console, and the URLs asked for."""
    if CHROMIUM is None:
        pytest.skip("no chromium")

    def browse(text: str, width: int = 1400) -> tuple[str, str, str]:
        path = tmp_path / "page.html"
        path.write_text(text, "utf-8")
        log = tmp_path / "net.json"
        more = [
            f"--user-data-dir={tmp_path / f'profile{width}'}",
            f"--log-net-log={log}",
            "--enable-logging=stderr",
            f"--window-size={width},3000",
            "--virtual-time-budget=5000",
            "--dump-dom",
            path.as_uri(),
        ]
        done = subprocess.run([CHROMIUM, *FLAGS, *more], capture_output=True, timeout=120)
        console = [line for line in done.stderr.decode().splitlines() if "CONSOLE" in line]
        urls = set(re.findall(r'"url":"([^"]+)"', log.read_text())) if log.exists() else set()
        asked = sorted(url for url in urls if not _OF_THE_BROWSER.match(url))
        return done.stdout.decode(), "\n".join(console), "\n".join(asked)

    return browse


@pytest.mark.slow
def test_a_browser_opens_it_without_an_error_or_a_request(browsed):
    text = as_html([made_run(name=HOSTILE, operator=HOSTILE), made_run(name=HOSTILE)])
    document, console, asked = browsed(text)
    assert console == ""
    assert "http" not in asked
    title = re.search(r"<title>(.*?)</title>", document, re.DOTALL)
    assert title is not None
    assert title[1] == "pytest-tflm: simulator"
    assert document.count("<svg") == text.count("<svg") > 8
    assert "{{ 7*7 }}" in document


@pytest.mark.slow
@pytest.mark.parametrize("width", [400, 1400])
def test_it_is_as_wide_as_the_window(browsed, width):
    text = as_html([made_run(name="a_model_with_a_rather_long_name_" * 3 + ".tflite"), made_run()])
    measure = "<script>document.title = document.documentElement.scrollWidth</script></body>"
    text = re.sub(r"<meta http-equiv=.*?>", "", text).replace("</body>", measure)
    document, _, _ = browsed(text, width)
    found = re.search(r"<title>(\d+)</title>", document)
    assert found is not None
    assert int(found[1]) <= max(width, 500), "a browser's window is 500 wide at least"


@pytest.mark.slow
def test_the_browser_would_have_told(browsed):
    """What the tests above look for is what a page with a script and a request gives."""
    document, console, asked = browsed(
        "<title>x</title><script>document.title='pwned'; console.error('told')</script>"
        "<img src='http://127.0.0.1:9/x.png'>"
    )
    assert "<title>pwned</title>" in document
    assert "told" in console
    assert "http://127.0.0.1:9/x.png" in asked


def test_without_its_packages_the_page_is_an_error_that_names_them(monkeypatch):
    import sys

    from pytest_tflm.errors import SettingsError

    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(SettingsError, match=r"pip install 'pytest-tflm\[html\]'"):
        as_html([made_run(samples=3)])


def test_the_data_are_those_of_the_record():
    run = made_run()
    assert json.loads(json.dumps(run)) == run
