"""Whether Firestore removes what has expired: it does so only where a policy says so."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Final

import anyio

from ...backends.firestore.policies import administration, expiry_policies
from ...domain.index_plan import plan as index_plan
from ...errors import ConfigurationError, PermissionDenied, StorageError
from ...layers.fallback.markers import Marker
from ...models import SHIPPED
from ...settings import Settings
from ...urls import FirestoreUrl
from ..findings import Finding, ok, warn
from .credentials import source_of

WHAT: Final = "expiry"
PATIENCE: Final = 8.0
"""Seconds for the policies to be asked for."""
Policies = Mapping[tuple[str, str], bool]


async def expiry_findings(url: FirestoreUrl, settings: Settings) -> AsyncGenerator[Finding]:
    if url.emulator is not None:
        yield ok(WHAT, "an emulator removes nothing, and knows no policies")
        return
    try:
        with anyio.fail_after(PATIENCE):
            policies = await _policies(url, settings)
    except (StorageError, ConfigurationError, TimeoutError) as error:
        yield _unknown(url, error)
        return
    for finding in policy_findings(policies, wanted(settings), url):
        yield finding


async def _policies(url: FirestoreUrl, settings: Settings) -> Policies:
    # A plan is complete.
    assert url.project is not None
    assert url.database is not None
    async with administration(source_of(settings)) as client:
        return await expiry_policies(client, url.project, url.database)


def wanted(settings: Settings) -> list[tuple[str, str]]:
    """Collection and field of every policy that there should be, that of the markers first."""
    rules = index_plan((Marker, *SHIPPED), collections=settings.collections or None).rules
    return [(rule.collection, rule.path) for rule in rules if rule.ttl]


def policy_findings(
    policies: Policies, wanted: list[tuple[str, str]], url: FirestoreUrl
) -> Iterator[Finding]:
    missing = [policy for policy in wanted if policy not in policies]
    coming = [policy for policy in wanted if policies.get(policy) is False]
    for collection, field in missing:
        yield warn(
            WHAT,
            f"{collection}: nothing that has expired is removed, and all of it is billed as stored",
            f"gcloud firestore fields ttls update {field} --collection-group={collection} "
            f"--enable-ttl {_where(url)}",
        )
    if coming:
        named = ", ".join(collection for collection, _ in coming)
        yield ok(WHAT, f"{named}: the policy is there, and not at work yet")
    if not missing and not coming:
        yield ok(WHAT, f"what has expired is removed from {', '.join(name for name, _ in wanted)}")


def _unknown(url: FirestoreUrl, error: Exception) -> Finding:
    why = "no answer in time" if isinstance(error, TimeoutError) else str(error)
    if isinstance(error, PermissionDenied):
        why = "the credential may not list the policies (datastore.indexes.list)"
    return warn(
        WHAT,
        f"whether what has expired is removed, markers of replayed writes too, is not known: {why}",
        f"look with: gcloud firestore fields ttls list {_where(url)}",
    )


def _where(url: FirestoreUrl) -> str:
    return f"--database='{url.database}' --project={url.project}"
