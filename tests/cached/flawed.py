"""Protocols that are known to be wrong, and steps of ours with one rule left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from orchestra_memory.layers.cached import model
from orchestra_memory.layers.cached.model import NOTHING, Entry, Reading
from orchestra_memory.layers.cached.replies import (
    LEASED,
    Absent,
    Filled,
    Found,
    Intended,
    Published,
    RecordReply,
    WindowReply,
)
from orchestra_memory.layers.cached.scripts import (
    Action,
    Change,
    Filling,
    KeepAbsent,
    KeepLive,
    WindowFilling,
)
from tests.cached.record_schedules import Writer
from tests.cached.schedules import DONE, LONG, NOW, Scripts, World


def _plain_read(entry: Entry, now: int, asked: Reading) -> tuple[Entry, RecordReply]:
    if entry.state == "L":
        return entry, Found(entry.floor, entry.payload, entry.filled_at)
    if entry.state == "A":
        return entry, Absent(entry.floor, entry.filled_at)
    return entry, LEASED


def _plain_set(entry: Entry, version: int, payload: bytes | None) -> Entry:
    state = "A" if payload is None else "L"
    return Entry(floor=version, state=state, payload=payload or b"", filled_at=NOW, expires=LONG)


def _plain_fill(entry: Entry, now: int, token: str, filling: Filling) -> tuple[Entry, Filled]:
    if filling.payload == b"":
        return entry, Filled.KEPT
    return _plain_set(entry, filling.version, filling.payload), Filled.KEPT


def _no_intent(entry: Entry, now: int, token: str, life: int, keep: int) -> tuple[Entry, Intended]:
    return entry, Intended(0, False, False, b"", 0)


def _set_after_write(
    entry: Entry, now: int, token: str, keep: int, action: Action
) -> tuple[Entry, Published]:
    kept = isinstance(action, KeepLive)
    return _plain_set(entry, action.floor, action.payload) if kept else NOTHING, Published(kept, 0)


def _delete_after_write(
    entry: Entry, now: int, token: str, keep: int, action: Action
) -> tuple[Entry, Published]:
    return NOTHING, Published(False, 0)


def _fill_newer(entry: Entry, now: int, token: str, filling: Filling) -> tuple[Entry, Filled]:
    if filling.version < entry.floor:
        return entry, Filled.OUTDATED
    return _plain_fill(entry, now, token, filling)


def _set_newer(
    entry: Entry, now: int, token: str, keep: int, action: Action
) -> tuple[Entry, Published]:
    if action.floor < entry.floor:
        return entry, Published(False, 0)
    return _set_after_write(entry, now, token, keep, action)


def _set_newer_or_tombstone(
    entry: Entry, now: int, token: str, keep: int, action: Action
) -> tuple[Entry, Published]:
    if isinstance(action, KeepAbsent) and action.floor >= entry.floor:
        return _plain_set(entry, action.floor, None), Published(True, 0)
    return _set_newer(entry, now, token, keep, action)


CACHE_ASIDE = Scripts(
    read=_plain_read, fill=_plain_fill, intend=_no_intent, publish=_set_after_write
)
DELETE_AFTER_WRITE = Scripts(
    read=_plain_read, fill=_plain_fill, intend=_no_intent, publish=_delete_after_write
)
VERSIONS_WITHOUT_TOMBSTONES = Scripts(
    read=_plain_read, fill=_fill_newer, intend=_no_intent, publish=_set_newer
)
VERSIONS_AND_TOMBSTONES = Scripts(
    read=_plain_read, fill=_fill_newer, intend=_no_intent, publish=_set_newer_or_tombstone
)


def _unleased_fill(entry: Entry, now: int, token: str, filling: Filling) -> tuple[Entry, Filled]:
    return model.fill(replace(entry, lease=token, lease_ends=LONG), now, token, filling)


def _floor_dropped(entry: Entry, now: int, asked: Reading) -> tuple[Entry, RecordReply]:
    if entry.intents and not entry.live(now):
        entry = replace(entry, floor=0)
    return model.read(entry, now, asked)


def _expired_ignored(entry: Entry, now: int, asked: Reading) -> tuple[Entry, RecordReply]:
    if entry.intents and not entry.live(now):
        entry = replace(entry, intents=frozenset())
    return model.read(entry, now, asked)


def _fence_ignored(entry: Entry, now: int, asked: Reading) -> tuple[Entry, RecordReply]:
    fences, entry = entry.intents, replace(entry, intents=frozenset())
    after, reply = model.read(entry, now, asked)
    return replace(after, intents=fences), reply


def _fence_beside_what_is_known(
    entry: Entry, now: int, token: str, life: int, keep: int
) -> tuple[Entry, Intended]:
    after, told = model.intend(entry, now, token, life, keep)
    known = replace(after, state=entry.state, payload=entry.payload, filled_at=entry.filled_at)
    return known, told


def _own_fence_ignored(
    entry: Entry, now: int, token: str, keep: int, action: Action
) -> tuple[Entry, Published]:
    intents = entry.intents | {(token, LONG)}
    return model.publish(replace(entry, intents=intents), now, token, keep, action)


def _floor_ignored(
    entry: Entry, now: int, token: str, keep: int, action: Action
) -> tuple[Entry, Published]:
    return model.publish(replace(entry, floor=0), now, token, keep, action)


def _fence_ignored_by_lists(entry: Entry, now: int, asked: Reading) -> tuple[Entry, WindowReply]:
    fences, entry = entry.intents, replace(entry, intents=frozenset())
    after, reply = model.read_window(entry, now, asked)
    return replace(after, intents=fences), reply


def _unleased_window(
    entry: Entry, now: int, token: str, filling: WindowFilling
) -> tuple[Entry, Filled]:
    leased = replace(entry, lease=token, lease_ends=LONG)
    return model.fill_window(leased, now, token, filling)


def _any_window(entry: Entry, now: int, token: str, filling: WindowFilling) -> tuple[Entry, Filled]:
    return _unleased_window(replace(entry, floor=0, intents=frozenset()), now, token, filling)


def _ready_intent(
    entry: Entry, now: int, token: str, life: int, keep: int
) -> tuple[Entry, Intended]:
    ready = entry.state == "L"
    return entry, Intended(0, ready, entry.complete, entry.bound, len(entry.members))


def _push_if_there(
    entry: Entry, now: int, token: str, keep: int, action: Action
) -> tuple[Entry, Published]:
    if entry.state != "L" or not isinstance(action, Change):
        return entry, Published(False, 0)
    members = entry.members | frozenset(action.members)
    return replace(entry, members=members), Published(True, 0)


FILL_WITHOUT_LEASE = Scripts(fill=_unleased_fill)
FLOOR_DROPPED_AND_FILL_WITHOUT_LEASE = Scripts(read=_floor_dropped, fill=_unleased_fill)
EXPIRED_FENCE_IGNORED = Scripts(read=_expired_ignored, intend=_fence_beside_what_is_known)
FENCE_IGNORED = Scripts(
    read=_fence_ignored,
    read_window=_fence_ignored_by_lists,
    intend=_fence_beside_what_is_known,
)
OWN_FENCE_IGNORED = Scripts(publish=_own_fence_ignored)
FLOOR_IGNORED = Scripts(publish=_floor_ignored)

WINDOW_DELETED_AFTER_WRITE = Scripts(
    fill_window=_any_window, intend=_no_intent, publish=_delete_after_write
)
WINDOW_PUSHED_TO = Scripts(fill_window=_any_window, intend=_ready_intent, publish=_push_if_there)
WINDOW_FILLED_WITHOUT_LEASE = Scripts(fill_window=_unleased_window)


@dataclass(frozen=True)
class EarlyWriter(Writer):
    """Trusts its fence: acknowledges what is committed behind one, and publishes it after."""

    def _commit(self, world: World, me: int) -> Iterator[World]:
        fenced = world.processes[me].memory[0] is not None
        for after in super()._commit(world, me):
            state = after.processes[me]
            early = fenced and state.step == "publish"
            yield self.acknowledged(after, state) if early else after

    def _publish(self, world: World, me: int, scripts: Scripts) -> Iterator[World]:
        yield self._told(world, me, scripts, self.action(world.processes[me]), DONE)
