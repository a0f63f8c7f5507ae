"""What the settings say, and which parts they make."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from ... import __version__
from ...domain.indexes import undeclared
from ...domain.issued import issued
from ...plan import Plan
from ...settings import Settings
from ..findings import Finding, fail, ok, warn


def version_finding() -> Finding:
    return ok("version", f"orchestra-memory {__version__} on Python {platform.python_version()}")


def settings_finding(settings: Settings) -> Finding:
    given = {name: origin for name, origin in settings.origins().items() if origin != "default"}
    if not given:
        return ok("settings", "all at their defaults")
    named = (f"{settings.variable(name)} ({origin})" for name, origin in given.items())
    return ok("settings", ", ".join(named))


def stack_findings(plan: Plan) -> Iterator[Finding]:
    for reason in plan.reasons:
        if " unused" in reason.partition(":")[0]:
            yield warn("stack", reason, "unset it, or say what it is for")
        else:
            yield ok("stack", reason)


def index_finding() -> Finding:
    missing = undeclared(issued())
    if missing:
        named = "; ".join(f"{need.model.__name__} ({', '.join(need.index)})" for need in missing)
        return fail("indexes", f"not declared: {named}", "declare them on the record types")
    return ok("indexes", "every query of the services has its index declared")
