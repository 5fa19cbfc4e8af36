"""The product uses public interfaces of libraries only: a private one goes with the next version."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from django.conf import settings

PACKAGES = ("mes", "execution", "ingest", "integration", "trace")
DOCUMENTED = {"_meta", "_base_manager", "_default_manager", "_exit"}  # of Django's models, and of os
FILES = sorted(
    path
    for package in PACKAGES
    for path in Path(settings.BASE_DIR, package).rglob("*.py")
    if "migrations" not in path.parts
)


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in DOCUMENTED


def is_own(node: ast.expr) -> bool:
    """Whether an attribute is looked up on the object itself, whose class may define it."""
    is_super = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super"
    return is_super or (isinstance(node, ast.Name) and node.id in ("self", "cls"))


def private_accesses(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and not is_own(node.value):
            yield f"{node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(name.name for name in node.names)]
            yield from (f"{node.lineno}: {name}" for name in names if any(map(is_private, name.split("."))))


def private_overrides(source: str, module: ModuleType) -> Iterator[str]:
    """Yield the private names that a class gives another meaning than its base class in a library has for them."""
    for node in ast.parse(source).body:
        if not isinstance(node, ast.ClassDef):
            continue
        bases = [base for base in getattr(module, node.name).__mro__ if not base.__module__.startswith(PACKAGES)]
        for name in filter(is_private, names_in(node)):
            if any(name in vars(base) for base in bases):
                yield f"{node.name}.{name}"


def names_in(node: ast.ClassDef) -> Iterator[str]:
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef):
            yield statement.name
        targets = getattr(statement, "targets", [getattr(statement, "target", None)])
        yield from (target.id for target in targets if isinstance(target, ast.Name))


def module_of(path: Path) -> ModuleType:
    parts = path.relative_to(settings.BASE_DIR).with_suffix("").parts
    return importlib.import_module(".".join(parts).removesuffix(".__init__"))


def test_no_private_name_of_a_library_is_used() -> None:
    found = [f"{path}:{access}" for path in FILES for access in private_accesses(path.read_text())]
    assert found == []


def test_no_private_method_of_a_library_is_overridden() -> None:
    found = [f"{path}: {name}" for path in FILES for name in private_overrides(path.read_text(), module_of(path))]
    assert found == []


def test_private_names_are_found() -> None:
    source = (
        "from psycopg._queries import x\nfrom django.db import _y\nrequest._request\nself._own\nsuper()._own\na._meta"
    )
    assert list(private_accesses(source)) == ["1: psycopg._queries", "2: _y", "3: request._request"]
    source = "class Form(ModelForm):\n    _own = 1\n    _html_output: int = 1\n    def _post_clean(self): pass"
    module = ModuleType("forms")
    exec(f"from django.forms import ModelForm\n{source}", vars(module))
    module.Form.__module__ = "mes.forms"  # type: ignore[attr-defined]
    assert list(private_overrides(source, module)) == ["Form._post_clean"]
