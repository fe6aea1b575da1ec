"""The SDK's `collections.json`, written from the server's declarations: `python -m tests.client_sdk.declaration`."""

from __future__ import annotations

import json
from pathlib import Path

from storage.collections import COLLECTIONS, SCHEMA, describe

PATH = Path(__file__).parents[2] / "client_sdk/python/src/fitai_client/collections.json"


def declaration() -> str:
    """What the file has to say."""
    document = {
        "schema": SCHEMA,
        "single": [spec.name for spec in COLLECTIONS.values() if spec.single],
        "collections": describe(),
    }
    return json.dumps(document, indent=1) + "\n"


if __name__ == "__main__":
    PATH.write_text(declaration(), encoding="utf-8")
