"""The page about a run: what it shows, that it needs nothing, and that nothing in it can act."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pytest_tflm.report.html import as_html
from tests.report.browser import CHROMIUM, Browser
from tests.report.made_runs import HOSTILE, made_run

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


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium")
    browser = Browser(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Callable[..., Browser]:
    """Opens a page of this text; by default in a window of 1400 pixels."""

    def open_page(text: str, width: int = 1400, **media: str) -> Browser:
        path = tmp_path / "page.html"
        path.write_text(text, "utf-8")
        browser.open(path, width, **media)
        return browser

    return open_page


def said(browser: Browser) -> list[str]:
    """What the console shows."""
    methods = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
    return [json.dumps(each) for each in browser.events if each["method"] in methods]


def asked(browser: Browser) -> list[str]:
    """The URLs that the page asked for, itself not."""
    requests = [
        each["params"]["request"]["url"]
        for each in browser.events
        if each["method"] == "Network.requestWillBeSent"
    ]
    return [url for url in requests if not url.endswith("/page.html") and url[:5] != "data:"]


@pytest.mark.slow
def test_a_browser_opens_it_without_an_error_or_a_request(opened):
    text = as_html([made_run(name=HOSTILE, operator=HOSTILE), made_run(name=HOSTILE)])
    browser = opened(text)
    assert said(browser) == []
    assert asked(browser) == []
    assert browser.evaluate("document.title") == "pytest-tflm: simulator"
    assert browser.evaluate("document.querySelectorAll('svg').length") == text.count("<svg") > 8
    assert "{{ 7*7 }}" in browser.evaluate("document.body.textContent")


LOOKS = (Path(__file__).parent / "looks.js").read_text("utf-8")
LONG = "a_model_with_a_rather_long_name_" * 3 + ".tflite"
MEDIA = {"light": {}, "dark": {"prefers_color_scheme": "dark"}, "print": {"media": "print"}}


@pytest.mark.slow
@pytest.mark.parametrize("media", MEDIA)
@pytest.mark.parametrize("width", [400, 1400])
def test_it_looks_right(opened, width, media, tmp_path):
    runs = [made_run(name=LONG), made_run(samples=9), made_run(name=LONG, operator=LONG)]
    browser = opened(as_html(runs), width, **MEDIA[media])
    browser.screenshot(tmp_path / "page.png")  # to be looked at: pytest --basetemp=DIR
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")
    assert browser.evaluate(LOOKS) == []


UGLY = """
<body style="background: white"><div style="width: 3000px">wide</div>
<p style="position: absolute; top: 90px">a text</p>
<p style="position: absolute; top: 95px">another text</p>
<p style="color: #999">grey</p>
<svg width="50" height="50"><path d="M 10 10 L 90 90" stroke="red"/></svg>
<svg width="50" height="50"></svg>
"""


@pytest.mark.slow
def test_what_looks_wrong_would_be_told(opened):
    found = "\n".join(opened(UGLY).evaluate(LOOKS))
    for what in ("pixels wide", "outside of its plot", "no marks", 'over "another', "contrast 2.8"):
        assert what in found, found


@pytest.mark.slow
def test_the_browser_would_have_told(opened):
    """What the tests above look for is what a page with a script and a request gives."""
    browser = opened(
        "<title>x</title><script>document.title='pwned'; console.error('told')</script>"
        "<img src='http://127.0.0.1:9/x.png'>"
    )
    assert browser.evaluate("document.title") == "pwned"
    assert "told" in "".join(said(browser))
    assert asked(browser) == ["http://127.0.0.1:9/x.png"]


def test_without_its_packages_the_page_is_an_error_that_names_them(monkeypatch):
    import sys

    from pytest_tflm.errors import SettingsError

    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(SettingsError, match=r"pip install 'pytest-tflm\[html\]'"):
        as_html([made_run(samples=3)])


def test_the_data_are_those_of_the_record():
    run = made_run()
    assert json.loads(json.dumps(run)) == run
