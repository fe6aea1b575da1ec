"""The kernel, change by change, and the model, on whole histories, show the same."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
