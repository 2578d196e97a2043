"""Finds words that usually mark an awkward sentence, in what users read: ``make check`` runs it.

It reads the Markdown pages, without code, and the strings of the package, without docstrings. If a
word is right where it stands, end the line with ``words: ok`` (in Markdown ``<!-- words: ok -->``).
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]

WORDS = {
    r"alone": "only, by itself, in isolation",
    r"anew": "again",
    r"once more": "again",
    r"(?:equal|right|wrong|differs?) of (?:itself|themselves)": "by itself, in isolation",
    r"nobody|somebody|whoever|anybody": "say who",
    r"what there is|that there (?:is|are)(?: none| not)?|those there are": "the existing ones",
    r"(?<!there )(?:is|are|finds?|gives?) (?-i:none)": "say what is missing",
    r"(?<!there )(?:is|are) no (?!longer|more\b|such\b)": "is not a",
    r"is not there|are not there": "is missing",
    r"(?:is|are|was|were) (?:told(?! that)|waited for|looked (?:at|for|into))": "say who does it",
    r"(?:is|was|were) asked for": "requested, given",
    r"in (?:the )?place of": "instead of",
    r"cannot be had|at hand|in reach": "available",
    r"but for|no \w+ but|nothing but": "except, only",
    r"called for or not|calls for": "needed",
    r"mend(?:s|ed|ing)?": "fix, repair",
    r"go(?:es)? on": "continue",
    r"otherwise than|in another way than": "differently from",
    r"knows? no": "does not support, does not use",
    r"is that of|is one of those": "name it again",
    r"makes? no sense": "invalid",
    r"takes? (?:the|its) place": "replaces",
    r"not seen before|seen to be": "say who saw what",
    r"all the same": "nevertheless",
    r"as well as can be": "as far as possible",
    r"what (?:comes|came) (?:of|out)": "the result",
    r"bit by bit alike|one like the other": "identical",
    r"(?:is|are) run alone": "run in isolation",
}
FOUND = re.compile(
    "|".join(rf"(?P<w{n}>(?<![\w-])(?:{each})(?![\w-]))" for n, each in enumerate(WORDS)),
    re.IGNORECASE,
)
ADVICE = list(WORDS.values())
ALLOWED = "words: ok"

CODE = re.compile(r"`[^`\n]*`|\]\([^)\s]*\)|\"[^\"\n]*\"")
"""In a line of Markdown: code, the target of a link, a quotation."""


def complaints(text: str) -> Iterator[str]:
    for found in FOUND.finditer(text):
        yield f"{found[0]!r}: {ADVICE[int((found.lastgroup or 'w0')[1:])]}"


def in_markdown(path: Path) -> Iterator[tuple[int, str]]:
    fence = False
    blank, item, code = True, False, False
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            fence = not fence
            continue
        if not line.strip():
            blank = True
            continue
        indent = len(line) - len(line.lstrip())
        if blank:
            code = indent >= (6 if item else 4)
        item = (item and indent > 0) or re.match(r"([-*]|\d+\.) ", line) is not None
        blank = False
        if fence or code or ALLOWED in line:
            continue
        for complaint in complaints(CODE.sub("`…`", line)):
            yield number, complaint


def in_python(path: Path) -> Iterator[tuple[int, str]]:
    text = path.read_text("utf-8")
    lines = text.splitlines()
    tree = ast.parse(text)
    documentation = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        if id(node) in documentation or ALLOWED in lines[node.lineno - 1]:
            continue
        if " " not in node.value:  # a name
            continue
        for complaint in complaints(node.value):
            yield node.lineno, complaint


def pages() -> Iterator[Path]:
    yield from ROOT.glob("*.md")
    for folder in ("docs", "protocol", "firmware", "examples", "changelog.d"):
        yield from sorted((ROOT / folder).rglob("*.md"))


def main(names: list[str]) -> int:
    paths = [Path(name).resolve() for name in names] or [
        *pages(),
        *sorted((ROOT / "pytest_tflm").rglob("*.py")),
    ]
    count = 0
    for path in paths:
        for number, complaint in (in_python if path.suffix == ".py" else in_markdown)(path):
            print(f"{path.relative_to(ROOT)}:{number}: {complaint}")
            count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
