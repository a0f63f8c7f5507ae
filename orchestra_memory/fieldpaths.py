"""Which fields a record type has, and what may be done with each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import pairwise
from types import NoneType, UnionType
from typing import Annotated, Any, Protocol, TypeGuard, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from .errors import InvalidQuery, InvalidRecord
from .record import EXPIRATION, Record, spec_of
from .values import MAX_PATH_BYTES, Vector, checked_text, is_nan, storable

Path = tuple[str, ...]

_LISTS = {list, tuple, set, frozenset, Sequence}
_MAPS = {dict, Mapping}


class PatchLike(Protocol):
    """The parts of a patch."""

    @property
    def ref(self) -> Any: ...
    @property
    def set(self) -> Mapping[str, Any]: ...
    @property
    def increment(self) -> Mapping[str, float]: ...
    @property
    def add(self) -> Mapping[str, Sequence[Any]]: ...
    @property
    def remove(self) -> Mapping[str, Sequence[Any]]: ...
    @property
    def unset(self) -> Sequence[str]: ...
    @property
    def expect(self) -> Any: ...
    @property
    def or_create(self) -> Record | None: ...


def split_path(path: str) -> Path:
    """``"metadata.model"`` as ``("metadata", "model")``."""
    return tuple(path.split("."))


def kinds(model: type[BaseModel], name: str) -> frozenset[type | str]:
    """The plain types a field may hold; ``"any"`` for free JSON and what cannot be told."""
    return _cached_kinds(model, name)


@cache
def _cached_kinds(model: type[BaseModel], name: str) -> frozenset[type | str]:
    return frozenset(_kinds(_annotation(model.model_fields[name])))


def _annotation(info: FieldInfo) -> Any:
    return Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation


def _kinds(annotation: Any) -> set[type | str]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kinds(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return {kind for part in get_args(annotation) for kind in _kinds(part)}
    plain = origin or annotation
    return {"any"} if plain is Any or not isinstance(plain, type) else {plain}


def check_field(model: type[Record], path: str) -> Path:
    """The path's parts, if the record type has such a field; else ``InvalidQuery``."""
    parts = split_path(path)
    if parts[0] not in model.model_fields:
        raise InvalidQuery(
            f"{model.__name__} has no field {parts[0]!r}; it has {', '.join(model.model_fields)}",
            field=path,
        )
    if not all(parts):
        raise InvalidQuery(f"{path!r}: a path has an empty part", field=path)
    if len(parts) > 1 and not _has_parts(model, parts[0]):
        raise InvalidQuery(f"{parts[0]!r} is not a map; {path!r} names nothing in it", field=path)
    return parts


def _has_parts(model: type[Record], name: str) -> bool:
    return any(
        kind in ("any", *_MAPS) or (isinstance(kind, type) and issubclass(kind, BaseModel))
        for kind in kinds(model, name)
    )


@cache
def _declares_entries(model: type[Record], name: str) -> bool:
    """Whether the field is a map of which it is declared what its entries hold."""
    return _is_declared_map(_annotation(model.model_fields[name]))


def _is_declared_map(annotation: Any) -> bool:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _is_declared_map(inner[0])
    if origin in (Union, UnionType):
        return all(_is_declared_map(part) for part in inner if part is not NoneType)
    if origin not in _MAPS:
        return False
    held = _kinds(inner[1])
    # Of a model within, a path names a part, which alone would not be valid.
    if any(not isinstance(kind, type) or issubclass(kind, BaseModel) for kind in held):
        return False
    return not held & _MAPS or _is_declared_map(inner[1])


@cache
def _adapter(model: type[Record], name: str) -> TypeAdapter[Any]:
    return TypeAdapter(_annotation(model.model_fields[name]))


def checked_value(model: type[Record], path: str, value: Any) -> Any:
    """`value` as the field at `path` would hold it; ``InvalidRecord`` if it cannot."""
    parts = split_path(path)
    try:
        if len(parts) == 1 or _declares_entries(model, parts[0]):
            value = _as_declared(model, parts, value)
        return value if isinstance(value, Vector) else storable(value)
    except ValueError as error:
        refused = _refused(model, path, _reason(error), value)
    # From within the handler the error there, which holds the input, would travel along.
    raise refused


def _reason(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    detail = error.errors(include_url=False, include_input=False)[0]
    return detail["msg"].removeprefix("Value error, ")


def _as_declared(model: type[Record], parts: Path, value: Any) -> Any:
    """`value` as part of the field would be validated; what could not be read again must not be."""
    name, *inner = parts
    for part in reversed(inner):
        value = {part: value}
    value = _adapter(model, name).validate_python(value)
    for part in inner:
        value = value[part]
    return value


def _refused(model: type[Record], path: str, reason: str, value: object) -> InvalidRecord:
    return InvalidRecord(
        f"{model.__name__}.{path}: {reason} (got {type(value).__name__})",
        model=model.__name__,
        field=path,
    )


def checked_patch(model: type[Record], patch: PatchLike) -> dict[str, Any]:
    """The parts of a patch in the types a store holds; ``InvalidRecord`` names what is wrong."""
    paths = [*patch.set, *patch.increment, *patch.add, *patch.remove, *patch.unset]
    _check_paths(model, paths)
    _check_created(model, patch)
    return {
        "set": {path: checked_value(model, path, value) for path, value in patch.set.items()},
        "increment": _each(model, patch.increment, _checked_amount),
        "add": _each(model, patch.add, _checked_elements),
        "remove": _each(model, patch.remove, _checked_elements),
        "unset": tuple(_each(model, dict.fromkeys(patch.unset), _checked_unset)),
    }


def _each(
    model: type[Record], items: Mapping[str, Any], check: Callable[[type[Record], str, Any], Any]
) -> dict[str, Any]:
    return {path: check(model, path, value) for path, value in items.items()}


def _check_paths(model: type[Record], paths: list[str]) -> None:
    spec = spec_of(model)
    fixed = {*spec.key, *spec.scope_fields, *spec.large}
    if spec.large:
        # Parts of a large record expire by a time of their own, which a patch does not reach.
        fixed.add(EXPIRATION)
    if not paths:
        raise InvalidRecord(f"{model.__name__}: a patch without changes", model=model.__name__)
    for path in paths:
        _check_text(model, path)
        try:
            name = check_field(model, path)[0]
        except InvalidQuery as error:
            raise InvalidRecord(str(error), model=model.__name__, field=path) from None
        if name in fixed:
            raise InvalidRecord(
                f"{model.__name__}.{name} cannot change by Patch (it is a key, a scope, a large "
                "field, or the expiration of a type with large fields); use update() or Put",
                model=model.__name__,
                field=path,
            )
    _check_apart(model, paths)


def _check_text(model: type[Record], path: str) -> None:
    """Refuse what a map may not have as a key; in records :func:`storable` does."""
    if path.isascii() and len(path) <= MAX_PATH_BYTES:
        return
    try:
        size = len(checked_text(path).encode())
    except ValueError as error:
        raise InvalidRecord(f"{model.__name__}: a path of {error}", model=model.__name__) from None
    if size > MAX_PATH_BYTES:
        raise InvalidRecord(
            f"{model.__name__}.{path.partition('.')[0]}: a path longer than {MAX_PATH_BYTES} "
            "bytes; shorten the names in it",
            model=model.__name__,
        )


def _check_apart(model: type[Record], paths: list[str]) -> None:
    ordered = sorted(split_path(path) for path in paths)
    for shorter, longer in pairwise(ordered):
        if longer[: len(shorter)] == shorter:
            path = ".".join(longer)
            raise InvalidRecord(
                f"{model.__name__}.{path} is changed twice by one patch",
                model=model.__name__,
                field=path,
            )


def _check_created(model: type[Record], patch: PatchLike) -> None:
    created = patch.or_create
    if patch.expect is None or getattr(patch.expect, "name", "") == "ABSENT":
        raise InvalidRecord(
            f"{model.__name__}: a patch needs a record to change; expect PRESENT or a revision, "
            "and give or_create for when there is none",
            model=model.__name__,
        )
    if created is not None and (type(created) is not model or created.key != patch.ref.key):
        raise InvalidRecord(
            f"{model.__name__}: or_create is another record than the patch is for",
            model=model.__name__,
            field="or_create",
        )


def _checked_amount(model: type[Record], path: str, value: Any) -> Any:
    wanted = kinds(model, path) if "." not in path else frozenset[Any]()
    if isinstance(value, bool) or not isinstance(value, int | float) or is_nan(value):
        raise _refused(model, path, "an increment must be a number", value)
    if wanted and not wanted & {int, float, "any"}:
        raise _refused(model, path, "only a number can be incremented", value)
    if wanted and isinstance(value, float) and not wanted & {float, "any"}:
        raise _refused(model, path, "a whole number cannot take a fraction", value)
    name, *inner = split_path(path)
    if inner and _declares_entries(model, name):
        checked_value(model, path, value)
    return storable(value, path)


def _checked_elements(model: type[Record], path: str, value: Any) -> Any:
    if "." not in path and not kinds(model, path) & {*_LISTS, "any"}:
        raise _refused(model, path, "only a list takes add and remove", value)
    if not is_elements(value):
        raise _refused(model, path, "give a list of elements", value)
    name, *inner = split_path(path)
    if _declares_entries(model, name) if inner else kinds(model, path) & _LISTS:
        return checked_value(model, path, list(value))
    try:
        return storable(list(value))
    except ValueError as error:
        raise _refused(model, path, str(error), value) from None


def is_elements(value: Any) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _checked_unset(model: type[Record], path: str, _: None) -> None:
    if "." not in path and model.model_fields[path].is_required():
        raise InvalidRecord(
            f"{model.__name__}.{path} has no default to return to",
            model=model.__name__,
            field=path,
        )


def default_of(model: type[Record], name: str) -> Any:
    return model.model_fields[name].get_default(call_default_factory=True, validated_data={})


def is_numeric(model: type[Record], path: str) -> bool:
    return "." in path or bool(kinds(model, path) & {int, float, "any"})
