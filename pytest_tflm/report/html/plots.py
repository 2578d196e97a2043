"""Plots as SVG that takes its colours from the page, so that they fit light, dark and print.

matplotlib draws them in marker colours, which are then replaced by the page's variables. No text in
them is made of anything else than what matplotlib escapes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pytest_tflm.errors import SettingsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Reals = NDArray[Any]

_INK, _SOFT, _BLUE, _RED = "#010101", "#020202", "#030303", "#040404"
_VARIABLES = {_INK: "--ink", _SOFT: "--soft", _BLUE: "--blue", _RED: "--red"}
_MOST_POINTS = 1500
_MOST_BARS = 64
_LONGEST_LABEL = 40


@contextmanager
def _figure(width: float = 5.2, height: float = 3.4) -> Iterator[tuple[Any, Any]]:
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError:
        raise SettingsError(
            "a page needs Jinja2 and matplotlib: pip install 'pytest-tflm[html]'."
        ) from None
    style: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": "pytest-tflm",
        "font.family": ["sans-serif"],
        "font.size": 10,
        "text.parse_math": False,
        "text.usetex": False,
        "axes.edgecolor": _SOFT,
        "axes.labelcolor": _INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": _SOFT,
        "grid.alpha": 0.25,
        "text.color": _INK,
        "xtick.color": _INK,
        "ytick.color": _INK,
    }
    with rc_context(style):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        yield figure, figure.add_subplot()


def _svg(figure: Any, title: str) -> str:
    """The figure's SVG element, with colours of the page and without what names this machine."""
    made = io.StringIO()
    figure.patch.set_alpha(0)
    for axes in figure.axes:
        axes.patch.set_alpha(0)
    figure.savefig(made, format="svg", metadata={"Date": None, "Creator": None, "Format": None})
    text = made.getvalue()
    text = text[text.index("<svg") :]
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    # Identifiers are unique within a figure; the page has many.
    mark = re.sub(r"\W", "-", title)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{mark}-\1"', text)
    text = re.sub(r'"#([\w.-]+)"', rf'"#{mark}-\1"', text)
    text = re.sub(r"url\(#([\w.-]+)\)", rf"url(#{mark}-\1)", text)
    return text.replace("<svg", '<svg role="img"', 1)


def _thinned(order: Callable[[int], float], count: int) -> list[int]:
    """At most so many indices as are drawn: those of the largest ``order`` among them."""
    if count <= _MOST_POINTS:
        return list(range(count))
    ordered = sorted(range(count), key=order, reverse=True)
    half = _MOST_POINTS // 2
    step = max(1, (count - half) // half)
    return sorted({*ordered[:half], *ordered[half::step]})


def scatter(mark: str, board: Reals, reference: Reals, unit: str) -> str:
    """The board's values over the reference's; the diagonal is where they are equal."""
    ours, theirs = board.ravel(), reference.ravel()
    apart = abs(ours - theirs)
    kept = _thinned(lambda i: float(apart[i]), ours.size)
    with _figure() as (figure, axes):
        low = float(min(ours.min(), theirs.min()))
        high = float(max(ours.max(), theirs.max()))
        axes.plot([low, high], [low, high], color=_SOFT, linewidth=1)
        colours = [_RED if apart[i] else _BLUE for i in kept]
        axes.scatter(theirs[kept], ours[kept], s=12, c=colours, alpha=0.7, linewidths=0)
        axes.set_xlabel(f"reference ({unit})")
        axes.set_ylabel(f"board ({unit})")
        return _svg(figure, mark)


def histogram(mark: str, differences: Reals) -> str:
    """How many elements differ by how many LSB, signed; the count in a logarithmic scale."""
    import numpy as np

    values = differences.ravel()
    low, high = int(values.min()), int(values.max())
    width = max(1, -(-(high - low + 1) // _MOST_BARS))
    edges = np.arange(low, high + width + 1, width) - 0.5
    counts, _ = np.histogram(values, edges)
    with _figure() as (figure, axes):
        axes.bar(edges[:-1] + width / 2, counts, width=width * 0.9, color=_BLUE)
        axes.set_yscale("symlog", linthresh=1)
        powers = [10**power for power in range(len(str(int(counts.max()))))]
        axes.set_yticks([0, *powers], [str(each) for each in (0, *powers)])
        axes.set_xlabel("board minus reference (LSB)")
        axes.set_ylabel("elements")
        if high - low < 12:
            axes.set_xticks(range(low, high + 1))
        return _svg(figure, mark)


def operators(
    mark: str, names: Sequence[str], columns: Sequence[tuple[str, Sequence[float]]], unit: str
) -> str:
    """Bars for each operator along the graph, one for each of ``columns`` (a title and values)."""
    import numpy as np

    height = min(20.0, 1.2 + 0.26 * len(names))
    colours = (_RED, _BLUE) if len(columns) > 1 else (_BLUE,)
    with _figure(height=height) as (figure, axes):
        places = np.arange(len(names))
        size = 0.8 / len(columns)
        for number, (title, values) in enumerate(columns):
            at = places + (number - (len(columns) - 1) / 2) * size
            axes.barh(at, values, height=size, color=colours[number], label=title)
        axes.set_yticks(places, [name[:_LONGEST_LABEL] for name in names])
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlabel(unit)
        axes.grid(axis="y", visible=False)
        if len(columns) > 1:
            is_short = sum(len(title) for title, _ in columns) < _LONGEST_LABEL - 10
            beside = len(columns) if is_short else 1
            figure.legend(frameon=False, loc="outside upper right", ncols=beside)
        return _svg(figure, mark)


def curve(mark: str, values: Reals) -> str:
    """An input as a curve over its elements."""
    flat = values.ravel()
    step = max(1, -(-flat.size // 800))
    with _figure(3.2, 1.4) as (figure, axes):
        axes.plot(range(0, flat.size, step), flat[::step], color=_BLUE, linewidth=1)
        axes.set_xmargin(0)
        return _svg(figure, mark)


def picture(mark: str, values: Reals) -> str:
    """An input as an image: float (height, width, channels), whatever its range."""
    low, high = float(values.min()), float(values.max())
    shown = (values - low) / ((high - low) or 1)
    with _figure(2.0, 2.0) as (figure, axes):
        grey = shown.shape[2] == 1
        axes.imshow(shown[:, :, 0] if grey else shown, cmap="gray" if grey else None)
        axes.set_axis_off()
        return _svg(figure, mark)


def history(mark: str, labels: Sequence[str], lines: Sequence[tuple[str, Sequence[Any]]]) -> str:
    """Figures over runs: a line for each of ``lines``; None where a run has none."""
    with _figure(5.2, 2.8) as (figure, axes):
        for number, (name, values) in enumerate(lines):
            known = [(at, value) for at, value in enumerate(values) if value is not None]
            style = ("-", "--", ":", "-.")[number // 2 % 4]
            axes.plot(
                [at for at, _ in known],
                [value for _, value in known],
                style,
                marker="o",
                markersize=4,
                color=(_BLUE, _RED)[number % 2],
                label=name[:_LONGEST_LABEL],
            )
        axes.set_xticks(range(len(labels)), [label[:12] for label in labels], rotation=30)
        axes.legend(frameon=False)
        return _svg(figure, mark)
