"""The sample record as a model of pydantic's, for peers that have no model of their own."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel

from .way import Plain


class Fields(BaseModel):
    """All but the id."""

    user_id: str
    session_id: str | None = None
    item_type: str
    timestamp: datetime
    text_content: str
    persona_active: str | None = None
    embedding: list[float] | None = None
    metadata: dict[str, Any]
    expiration: datetime | None = None
    content_hash: str | None = None


class Item(Fields):
    id: str


def dumped(record: BaseModel) -> Plain:
    return record.model_dump(mode="json")
