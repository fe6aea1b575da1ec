"""What a text of a request is, where no pattern can say it: for the OpenAPI page and its readers.

Owns: the names of the formats. Refuses to know: what is checked; each area does that, and words the refusal.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

EMAIL: Final = {"format": "email"}
PASSWORD: Final = {"format": "password"}
TIME_ZONE: Final = {"format": "time-zone"}

Email = Annotated[str, Meta(extra_json_schema=EMAIL)]
Password = Annotated[str, Meta(extra_json_schema=PASSWORD)]
