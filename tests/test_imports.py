"""What loading the project's modules may do: no file needs one that needs it, and nothing is translated yet."""

import ast
import graphlib
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
PACKAGES = ("mes", "execution", "ingest", "integration", "trace")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@cache
def modules() -> dict[str, ast.Module]:
    """Return the modules of the project, by the names by which they are imported; Django loads migrations itself."""
    paths = (path for package in PACKAGES for path in sorted((PROJECT / package).rglob("*.py")))
    return {name_of(path): ast.parse(path.read_text()) for path in paths if "migrations" not in path.parts}


def name_of(path: Path) -> str:
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(node: ast.AST) -> list[str]:
    """Return the modules of the project that a statement imports."""
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names if alias.name in modules()]
        case ast.ImportFrom(module=str(module), names=names) if module in modules():
            inner = [f"{module}.{alias.name}" for alias in names]
            return [name if name in modules() else module for name in inner]
    return []


def imported_in_functions(name: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield (line, module) of each; `AppConfig.ready()` may, as it runs when everything is loaded."""
    is_config = name.rpartition(".")[2] == "apps"
    for function in ast.walk(tree):
        if isinstance(function, FUNCTIONS) and not (is_config and getattr(function, "name", "") == "ready"):
            yield from ((node.lineno, module) for node in ast.walk(function) for module in imported(node))


def find_circle(needs: dict[str, set[str]]) -> list[str]:
    """Return modules of which each needs the one before, the first also the last; none if there is no such circle."""
    try:
        graphlib.TopologicalSorter(needs).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_the_imports_of_a_file_are_found() -> None:
    assert {"mes.settings", "execution.models", "ingest.api_urls", "trace.pages"} <= modules().keys()
    tree = ast.parse(
        "from mes import errors, nothing\nimport mes.urls, os\n"
        "def ready():\n    from mes.plant.models import Line\n    class Inner:\n        import trace.pages\n"
    )
    assert imported(tree.body[0]) == ["mes.errors", "mes"]
    assert imported(tree.body[1]) == ["mes.urls"]
    assert list(imported_in_functions("mes.pages", tree)) == [(4, "mes.plant.models"), (6, "trace.pages")]
    assert list(imported_in_functions("mes.apps", tree)) == []
    assert sorted(find_circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == ["a", "a", "b", "c"]


def test_no_function_imports_a_module_of_the_project() -> None:
    """Where an import at the top makes a circle, a part of one of the files belongs elsewhere."""
    hidden = {
        f"{name}, line {line}: {module}"
        for name, tree in modules().items()
        for line, module in imported_in_functions(name, tree)
    }
    assert hidden == set()


def test_no_file_needs_one_that_needs_it() -> None:
    """Imports for the type checker alone count: what they name is needed to understand the file."""
    needs = {
        name: {module for node in ast.walk(tree) for module in imported(node)} - {name}
        for name, tree in modules().items()
        if name.rpartition(".")[2] != "apps"  # what they import in `ready()` is loaded before
    }
    assert find_circle(needs) == []


LOAD = """
import importlib
import sys
import traceback

import django
from django.utils import translation

folders = tuple(sys.argv[1:3])

def watch(name):
    translate = getattr(translation, name)
    def watched(*words):
        place = traceback.extract_stack(limit=2)[0]
        if place.filename.startswith(folders) and "site-packages" not in place.filename:
            print(f"{place.filename}, line {place.lineno}: {name}{words}")
        return translate(*words)
    setattr(translation, name, watched)

for name in ("gettext", "ngettext", "pgettext", "npgettext"):
    watch(name)
django.setup()
for name in sys.argv[3:]:
    importlib.import_module(name)
"""
EAGER = """
from django.utils.translation import gettext as _, gettext_lazy

class Model:
    name = gettext_lazy("lazy")
    label = _("eager")

def later():
    return _("later")
"""


def test_loading_translates_nothing(tmp_path: Path) -> None:
    """A text that is translated when its module is loaded stays in the language of the start: it must be lazy.

    Of all modules and one beside them that does so, only that one is seen to.
    """
    (tmp_path / "eager.py").write_text(EAGER)
    command = [sys.executable, "-c", LOAD, str(tmp_path), str(PROJECT), *modules(), "eager"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"{tmp_path}/eager.py, line 6: gettext('eager',)\n"
