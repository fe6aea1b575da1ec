"""`python -m tests.page_of_collections` writes docs/collections.md: every collection and field that the SDK ships."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from fitai_client.collections import COLLECTIONS, Collection

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "collections.md"
_HEAD: Final = """# Collections and their fields

What a log is made of, as `collections.json` of the SDK and `GET /api/sync` of a server declare it;
`python -m tests.page_of_collections` writes this page. Every field may be left out but the one that names what the
record is below.

- A field is a *register*, which keeps one value, where nothing else is said. A *set* takes `Add(…)` and `Remove(…)`,
  and concurrent ones both count; a *text* merges what several write into it.
- Where *or null* stands, null takes a value back.
- A *mass* is `{"value": 60, "unit": "kg"}`; a *length* the same, with its units.
- An *order key* places a record among its siblings, compared as text: `a0` … `a9`, `aA` … `aZ`, `aa` … `az`, then
  `b00`; and `a1V` lies between `a1` and `a2`. The SDK's `position_between` makes them.
"""


def page() -> str:
    """The page, in Markdown."""
    return _HEAD + "".join(_chapter(each) for each in COLLECTIONS.values())


def _chapter(collection: Collection) -> str:
    said = []
    if collection.parent:
        said.append(f"Below a record of `{collection.parent[1]}`, which `{collection.parent[0]}` names.")
    if collection.single:
        said.append("One record, under the nil UUID.")
    if collection.read_only:
        said.append("Written by the server alone.")
    text = "".join(f"{sentence} " for sentence in said).strip()
    rows = "".join(f"| `{name}` | {_of(field.declared or {})} |\n" for name, field in collection.fields.items())
    return f"\n## {collection.name}\n\n{text}{chr(10) * 2 if text else ''}| field | value |\n|---|---|\n{rows}"


def _of(declared: Mapping[str, Any]) -> str:
    kind = declared["kind"]
    shown = "text" if kind == "text" else _value(declared)
    return f"set of: {shown}" if kind == "set" else shown


def _value(declared: Mapping[str, Any]) -> str:
    """A type and its bounds, in words."""
    name = declared["type"]
    if "parent" in declared:
        shown = f"id in `{declared['parent']}`"
    elif name == "enum":
        shown = ", ".join(f"`{each}`" for each in declared["values"])
        shown += f", or `{declared['prefix']}<name>`" if "prefix" in declared else ""
    elif name in ("list", "pair"):
        shown = f"{name} of: {_value(declared['items'])}"
    elif name == "struct":
        shown = "object of " + ", ".join(f"`{each}`" for each in declared["members"])
    else:
        shown = {"uuid": "id", "order": "order key", "tz": "name of a time zone"}.get(name, name)
    return shown + _bounds(declared) + (", or null" if declared.get("nullable") else "")


def _bounds(declared: Mapping[str, Any]) -> str:
    top = next((declared[key] for key in ("maximum", "maximum_kg", "maximum_m") if key in declared), None)
    # The widest bounds are no news.
    said = f" {declared['minimum']:,} to {top:,}" if top is not None and top < 1_000_000_000 else ""
    said += f" in steps of {declared['step']}" if "step" in declared else ""
    said += f", in {', '.join(f'`{unit}`' for unit in declared['units'])}" if "units" in declared else ""
    if "max_length" in declared and declared["type"] == "string":
        said += f" of {declared.get('min_length', 0)} to {declared['max_length']:,} characters"
    return said + (f", {declared['max_items']} at most" if "max_items" in declared else "")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
