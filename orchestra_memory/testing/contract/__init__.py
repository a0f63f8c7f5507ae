"""What every memory promises, as tests: run them on a backend or layer of your own.

Subclass :class:`MemoryContract` in a test module and give it the fixture ``memory``::

    class TestMyStore(MemoryContract):
        @pytest.fixture
        async def memory(self) -> AsyncIterator[MemoryManager]:
            async with MyStore.open() as store:
                yield store

Each test gets a store that is empty, or seems so. Where several instances can share one store,
override the fixture ``another`` too. A stack that promises less, such as one in an outage, takes
the parts it does promise, each a class of its own.
"""

import pytest

pytest.register_assert_rewrite(
    *(
        f"{__name__}.{module}"
        for module in (
            "aggregating",
            "batches",
            "chunks",
            "commit_times",
            "corrupt",
            "expiry",
            "identities",
            "namespaces",
            "nearest",
            "options",
            "ordering",
            "paging",
            "patching",
            "preconditions",
            "queries",
            "reading",
            "receipts",
            "schemas",
            "updating",
            "values",
            "writing",
        )
    )
)

from .aggregating import AggregatingContract as AggregatingContract  # noqa: E402
from .batches import BatchContract as BatchContract  # noqa: E402
from .chunks import ChunkContract as ChunkContract  # noqa: E402
from .commit_times import CommitTimeContract as CommitTimeContract  # noqa: E402
from .corrupt import CorruptContract as CorruptContract  # noqa: E402
from .expiry import ExpiryContract as ExpiryContract  # noqa: E402
from .identities import IdentityContract as IdentityContract  # noqa: E402
from .namespaces import NamespaceContract as NamespaceContract  # noqa: E402
from .nearest import NearestContract as NearestContract  # noqa: E402
from .options import OptionsContract as OptionsContract  # noqa: E402
from .ordering import OrderingContract as OrderingContract  # noqa: E402
from .paging import PagingContract as PagingContract  # noqa: E402
from .patching import PatchingContract as PatchingContract  # noqa: E402
from .preconditions import PreconditionContract as PreconditionContract  # noqa: E402
from .queries import QueryContract as QueryContract  # noqa: E402
from .reading import ReadingContract as ReadingContract  # noqa: E402
from .receipts import ReceiptContract as ReceiptContract  # noqa: E402
from .schemas import SchemaContract as SchemaContract  # noqa: E402
from .updating import UpdatingContract as UpdatingContract  # noqa: E402
from .values import ValueContract as ValueContract  # noqa: E402
from .writing import WritingContract as WritingContract  # noqa: E402


class MemoryContract(
    ReadingContract,
    WritingContract,
    ReceiptContract,
    PreconditionContract,
    PatchingContract,
    BatchContract,
    ChunkContract,
    QueryContract,
    OrderingContract,
    PagingContract,
    AggregatingContract,
    NearestContract,
    ExpiryContract,
    CommitTimeContract,
    NamespaceContract,
    IdentityContract,
    ValueContract,
    SchemaContract,
    CorruptContract,
    UpdatingContract,
    OptionsContract,
):
    """All of it."""
