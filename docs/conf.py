"""Sphinx: `nox -s docs` builds this with warnings as errors."""

import re
from enum import Enum
from importlib.metadata import version as version_of

from orchestra_memory import Record, Settings

project = "orchestra-memory"
author = "The orchestra-memory authors"
project_copyright = f"%Y, {author}"
release = version_of("orchestra-memory")
version = release

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_default_options = {
    "members": True,
    "exclude-members": "model_config, model_post_init",
}
maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"
python_use_unqualified_type_names = True
default_role = "code"

copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = f"{project} {release}"

WITHOUT_SIGNATURE = {"Memory", "MemoryManager", "Settings", "SqliteMemory"}
"""Made by other means than a call: opened, subclassed, read from the environment."""
READABLE_TYPES = {"NonEmpty": "str", r"OpenEnum\[(\w+)\]": r"\1"}
READABLE_FACTORIES = {"random_id": "random", "utc_now": "now"}


def setup(app):
    app.connect("autodoc-process-docstring", add_fields)
    app.connect("autodoc-process-signature", readable_signature)


def add_fields(app, what, name, obj, options, lines):
    """Say in a table what the signature of a pydantic model would say unreadably."""
    if obj is Settings:
        lines += table(("variable", "default", ""), *map(setting, Settings.model_fields))
    elif isinstance(obj, type) and issubclass(obj, Record) and obj is not Record:
        lines += [place(obj.__record__), ""]
        fields = [(f"``{n}``", type_of(obj, n), default_of(obj, n)) for n in obj.model_fields]
        lines += table(("field", "type", "default"), *fields)


def place(spec):
    key = "``, ``".join(spec.key)
    large = f" May be large: ``{'``, ``'.join(sorted(spec.large))}``." if spec.large else ""
    return f"Collection ``{spec.collection}``, id from ``{key}``.{large}"


def setting(name):
    description = Settings.model_fields[name].description
    return f"``{Settings.variable(name)}``", default_of(Settings, name), description


def type_of(model, name):
    text = model.__annotations__[name]
    for pattern, readable in READABLE_TYPES.items():
        text = re.sub(pattern, readable, text)
    return f"``{text}``"


def default_of(model, name):
    info = model.model_fields[name]
    if info.default_factory is not None:
        return READABLE_FACTORIES.get(getattr(info.default_factory, "__name__", ""), "empty")
    if info.is_required():
        return "required"
    default = getattr(info.default, "value", info.default)
    if default is None:
        return "none"
    return f"``{default}``" if default != "" else "empty"


def table(*rows):
    yield from ("", ".. list-table::", "   :header-rows: 1", "")
    for first, *others in rows:
        yield f"   * - {first}"
        yield from (f"     - {text}" for text in others)
    yield ""


def readable_signature(app, what, name, obj, options, signature, return_annotation):
    if not signature:
        return None
    if what == "exception":
        return "", None  # to be caught, not made
    if what == "class" and (obj.__name__ in WITHOUT_SIGNATURE or issubclass(obj, (Record, Enum))):
        return "", None
    return signature.replace("<factory>", "..."), return_annotation
