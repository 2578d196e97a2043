"""Write ``pytest_tflm/model/verify/schema_table.py`` from the accessors that flatc generated.

    python tools/make_schema_table.py            # writes the table
    python tools/make_schema_table.py --check    # says whether it would change

The verifier needs to know, for every table of the TFLite schema, what each slot holds. Nothing
installed carries schema.fbs, but ``ai_edge_litert.schema_py_generated`` carries its consequences:
each accessor says its vtable offset and how it reads the value. This script reads that source (it
does not run it) and refuses whatever it does not understand, so a new kind of field in a later
schema stops here and not in front of a user's model.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import sys
import textwrap
from pathlib import Path

TARGET = (
    Path(__file__).resolve().parents[1] / "pytest_tflm" / "model" / "verify" / "schema_table.py"
)
LINE = 100

SCALARS = {
    "Bool": 1,
    "Int8": 1,
    "Uint8": 1,
    "Int16": 2,
    "Uint16": 2,
    "Int32": 4,
    "Uint32": 4,
    "Float32": 4,
    "Int64": 8,
    "Uint64": 8,
    "Float64": 8,
}

METHOD = re.compile(r"^    def (\w+)\(self(?:, j)?\):\n((?:^        .*\n|^\n)+)", re.M)
SLOT = re.compile(r"UOffsetTFlags\.py_type\(self\._tab\.Offset\((\d+)\)\)")


def schema_source() -> str:
    """The text of the installed ``ai_edge_litert.schema_py_generated``."""
    spec = importlib.util.find_spec("ai_edge_litert.schema_py_generated")
    if spec is None or spec.origin is None:
        raise SystemExit("ai_edge_litert is not installed: pip install ai-edge-litert")
    return Path(spec.origin).read_text(encoding="utf-8")


def kind_of(body: str, where: str) -> str:
    """What an accessor reads, in the notation of ``schema_table``."""
    is_vector = "self._tab.Vector(o)" in body
    scalar = re.search(r"number_types\.(\w+?)Flags, (?:o \+ self|a \+ flat)", body)
    table = re.search(r"^\s+obj = (\w+)\(\)$", body, re.M)
    if "self._tab.Union(obj, o)" in body and not is_vector:
        return "union"
    if "self._tab.String(" in body:
        return "[str]" if is_vector else "str"
    if table and "self._tab.Indirect(" in body:
        return f"[{table[1]}]" if is_vector else table[1]
    if scalar and not table:
        size = SCALARS[scalar[1]]
        return f"[{size}]" if is_vector else str(size)
    raise SystemExit(f"{where}: an accessor of a kind that this script does not know:\n{body}")


def tables_of(source: str) -> dict[str, tuple[str, ...]]:
    """For every table its slots, as ``name:kind``; ``-`` for a slot that the schema has retired."""
    tables: dict[str, tuple[str, ...]] = {}
    for start in re.finditer(
        r"^class (\w+)\(object\):\n    __slots__ = \['_tab'\]\n", source, re.M
    ):
        name = start[1]
        end = re.compile(r"^(?:class|def|try)\b", re.M).search(source, start.end())
        body = source[start.end() : end.start() if end else len(source)]
        slots: dict[int, str] = {}
        for method in METHOD.finditer(body):
            field, text = method[1], method[2]
            slot = SLOT.search(text)
            if slot is None:
                continue
            if field.endswith(("AsNumpy", "Length", "IsNone")) and (
                "GetVectorAsNumpy" in text or "VectorLen" in text or "return o == 0" in text
            ):
                continue
            number = (int(slot[1]) - 4) // 2
            if number in slots:
                raise SystemExit(f"{name}.{field}: slot {number} is read by two accessors")
            slots[number] = f"{snake(field)}:{kind_of(text, f'{name}.{field}')}"
        count = re.search(
            rf"^def {name}Start\(builder\):\n    builder\.StartObject\((\d+)\)", source, re.M
        )
        if count is None:
            raise SystemExit(f"{name}: a table without a builder")
        tables[name] = tuple(slots.get(i, "-") for i in range(int(count[1])))
        if slots and max(slots) >= len(tables[name]):
            raise SystemExit(f"{name}: an accessor beyond the last slot")
    return name_unions(tables, source)


def name_unions(tables: dict[str, tuple[str, ...]], source: str) -> dict[str, tuple[str, ...]]:
    """Replace ``union`` by the union's name, which only the object API (`…T`) knows."""
    named = {}
    for table, slots in tables.items():
        unpack = re.search(
            rf"^class {table}T\(object\):\n(.*?)^    def Pack\(", source, re.M | re.S
        )
        new = []
        for number, slot in enumerate(slots):
            field, _, kind = slot.partition(":")
            if kind == "union":
                creator = unpack and re.search(
                    rf"self\.{camel(field)} = (\w+)Creator\(self\.{camel(field)}Type,", unpack[1]
                )
                if not creator or slots[number - 1] != f"{field}_type:1":
                    raise SystemExit(f"{table}.{field}: a union whose type is not found")
                slot = f"{field}:{{{creator[1]}}}"
            new.append(slot)
        named[table] = tuple(new)
    return named


def unions_of(source: str) -> dict[str, tuple[str, ...]]:
    """For every union its members by number; member 0 is NONE and is left empty."""
    unions = {}
    for creator in re.finditer(r"^def (\w+)Creator\(unionType, table\):", source, re.M):
        values = re.search(rf"^class {creator[1]}\(object\):\n((?:    \w+ = \d+\n)+)", source, re.M)
        if values is None:
            raise SystemExit(f"{creator[1]}: a union without an enumeration")
        numbers = {int(n): m for m, n in re.findall(r"(\w+) = (\d+)", values[1])}
        members = [numbers.get(i, "") for i in range(max(numbers) + 1)]
        members[0] = ""
        unions[creator[1]] = tuple(members)
    return unions


def snake(name: str) -> str:
    """``OperatorCodes`` → ``operator_codes``, as schema.fbs writes it."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def camel(name: str) -> str:
    """``builtin_options2`` → ``builtinOptions2``, as the object API writes it."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def fold(name: str, words: tuple[str, ...]) -> str:
    """One dictionary entry: the words in one string, cut into lines."""
    text = " ".join(word or "-" for word in words)
    if len(f'    "{name}": "{text}",') <= LINE:
        return f'    "{name}": "{text}",\n'
    # The formatter joins what fits into one line, so the cut must be where it would leave it.
    lines = [text]
    if len(text) > LINE - 10:
        cut = textwrap.wrap(text, LINE - 11)
        lines = [f"{line} " for line in cut[:-1]] + cut[-1:]
    quoted = "\n".join(f'        "{line}"' for line in lines)
    return f'    "{name}": (\n{quoted}\n    ),\n'


def render(source: str) -> str:
    """The text of ``schema_table.py``."""
    tables, unions = tables_of(source), unions_of(source)
    known = set(tables)
    for table, slots in tables.items():
        for slot in slots:
            kind = slot.partition(":")[2].strip("[]")
            if kind.startswith("{") and kind[1:-1] not in unions:
                raise SystemExit(f"{table}: unknown union {kind}")
            if kind[:1].isupper() and kind not in known:
                raise SystemExit(f"{table}: unknown table {kind}")
    for union, members in unions.items():
        if set(members) - known - {""}:
            raise SystemExit(f"{union}: members that are no tables")
    head = '''"""What every slot of every table of the TFLite schema holds. Written by a script.

Do not edit: run ``python tools/make_schema_table.py``. A slot is ``name:kind``, in the order of the
vtable, ``-`` for one that the schema has retired. A kind is a scalar's size in bytes (``4``),
``str``, a table's name, ``[kind]`` for a vector, or ``{Union}``, whose type is the slot before it.
A union's members are in the order of their numbers; ``-`` is NONE.
"""

from __future__ import annotations

ROOT = "Model"

'''
    body = "TABLES: dict[str, str] = {\n"
    body += "".join(fold(name, tables[name]) for name in sorted(tables))
    body += "}\n\nUNIONS: dict[str, str] = {\n"
    body += "".join(fold(name, unions[name]) for name in sorted(unions))
    return head + body + "}\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if it would change")
    arguments = parser.parse_args()
    text = render(schema_source())
    if arguments.check:
        return int(TARGET.read_text(encoding="utf-8") != text)
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
