"""What documents and collections are called in a database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...queries import Query
from ..batches import Address


@dataclass(frozen=True, slots=True)
class Names:
    """The names in one database (``projects/{project}/databases/{database}``).

    ``collections`` renames some.
    """

    database: str
    collections: Mapping[str, str]

    def parent(self, namespace: str | None) -> str:
        """The document, or the root, beneath which a namespace's collections lie."""
        documents = f"{self.database}/documents"
        return documents if namespace is None else f"{documents}/namespaces/{namespace}"

    def document(self, address: Address) -> str:
        namespace, collection, stored_id = address
        collection = self.collections.get(collection, collection)
        return f"{self.parent(namespace)}/{collection}/{stored_id}"

    def collection(self, query: Query[Any]) -> str:
        return self.collections.get(query.spec.collection, query.spec.collection)
