"""One field's value as it is typed behind `--value` or `field=`: JSON, a quantity like `103kg`, or plain text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from api.command_line.device.figures import KG, METRES
from api.command_line.device.grammar import number

_QUANTITY: Final = re.compile(rf"([+-]?\d+(?:[.,]\d+)?)\s*({'|'.join([*KG, *METRES])})", re.IGNORECASE)


def given_value(text: str, like: Any) -> Any:
    """What `text` means in a field that has, or had, the value `like`: a quantity only where that is one."""
    found = _QUANTITY.fullmatch(text.strip())
    if found and isinstance(like, Mapping) and "unit" in like:
        return {"value": number(Decimal(found[1].replace(",", "."))), "unit": found[2].lower()}
    try:
        return json.loads(text)
    except ValueError:
        return text
