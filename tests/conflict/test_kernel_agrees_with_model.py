"""The kernel, change by change, and the model, on whole histories, show the same."""

from __future__ import annotations

from itertools import product
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conflict import Change, CollectionRules, FieldRules
from conflict.values import to_number
from tests.conflict.histories import EXAMPLES, RULES, Space, Written, deliveries, histories, load_model, model_schema

model = load_model()
SCHEMA = model_schema(model)
LAW = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def shown_by_model(history: list[Written], schema: Any = SCHEMA, rules: Any = RULES) -> dict[Any, Any]:
    shown = model.show([w.for_model(model) for w in history], schema)
    for key, record in shown.items():
        for name, value in record["values"].items():
            if rules[key[0]].fields[name].kind == "counter":
                record["values"][name] = to_number(str(value))
    return dict(shown)


def plain_json(shown: dict[Any, Any]) -> bytes:
    return msgspec.json.encode([[*key, shown[key]] for key in sorted(shown)])


@LAW
@given(st.data())
def test_any_history_delivered_in_any_causal_order_shows_what_the_model_says(data: st.DataObject) -> None:
    history = data.draw(histories())
    space = Space()
    for written in data.draw(deliveries(history)):
        space.deliver(written)
    assert space.shown() == shown_by_model(history)


@LAW
@given(histories())
def test_the_kernel_agrees_with_the_model_after_every_single_change(history: list[Written]) -> None:
    space = Space()
    for count, written in enumerate(history, 1):
        space.deliver(written)
        assert space.shown() == shown_by_model(history[:count])


@LAW
@given(st.data())
def test_the_order_of_delivery_changes_no_byte_of_what_is_shown_or_stored(data: st.DataObject) -> None:
    history = data.draw(histories())
    one, other = Space(), Space()
    for written in data.draw(deliveries(history)):
        one.deliver(written)
    for written in data.draw(deliveries(history)):
        other.deliver(written)
    assert plain_json(one.shown()) == plain_json(other.shown())
    assert {k: msgspec.json.encode(s) for k, s in one.records.items()} == {
        k: msgspec.json.encode(s) for k, s in other.records.items()
    }


def test_two_devices_a_record_and_its_parent_agree_on_every_short_history() -> None:
    rules = {
        "top": CollectionRules({"a": FieldRules("register"), "p": FieldRules("register", passing=True)}, None),
        "low": CollectionRules({"a": FieldRules("register"), "top": FieldRules("register")}, ("top", "top")),
    }
    schema = model_schema(model, rules)
    top, low = ("top", "t"), ("low", "l")
    steps: list[tuple[tuple[str, str], str, dict[str, Any]]] = [
        (top, "put", {"a": 0}),
        (top, "put", {"p": 0}),
        (top, "put", {}),
        (top, "delete", {}),
        (low, "put", {"a": 0, "top": "t"}),
        (low, "put", {"a": 0}),
        (low, "delete", {}),
    ]
    length = 4 if EXAMPLES >= 2000 else 3
    tried = 0

    def explore(history: list[Written]) -> None:
        nonlocal tried
        if len(history) == length:
            space = Space(rules)
            for written in history:
                space.deliver(written)
            assert space.shown() == shown_by_model(history, schema, rules), history
            tried += 1
            return
        counts = {d: sum(w.change.device == d for w in history) for d in ("d", "e")}
        for (device, other), (key, op, fields) in product((("d", "e"), ("e", "d")), steps):
            for known in range(counts[other] + 1):
                # Stamps run backwards on one of the two, so that the clock and causality disagree.
                wall = 9 - len(history) if device == "d" else len(history)
                # Each value is another one, so that nothing is hidden by equality.
                values = {name: len(history) if value == 0 else value for name, value in fields.items()}
                change = Change(device, counts[device] + 1, f"{wall:012x}0000", {other: known}, op, values)
                explore([*history, Written(key, change)])

    explore([])
    assert tried > 1000
