"""A cache in Redis, coherent by version."""

from .memory import CachedMemory as CachedMemory
from .policy import CachePolicy as CachePolicy
