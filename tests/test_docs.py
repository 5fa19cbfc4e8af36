"""The documentation says what the code does."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

import mes.errors
from mes.errors import DomainError
from mes.platform.accounts.roles import OUR_APPS
from mes.platform.hooks import Hook
from mes.platform.http import envelope
from mes.platform.server import web

DOCS = Path(settings.BASE_DIR) / "docs"
BASES = {"DOMAIN_ERROR", "NOT_FOUND"}


def all_errors(base: type[DomainError] = DomainError) -> Iterator[type[DomainError]]:
    for error in (one for one in base.__subclasses__() if not one.__module__.startswith("tests")):
        yield error
        yield from all_errors(error)


def documented_codes() -> set[str]:
    return set(re.findall(r"`([A-Z][A-Z_]{3,})`", (DOCS / "errors.md").read_text()))


def test_every_error_code_is_documented():
    codes = (
        {error.code for error in all_errors()}
        | set(envelope._CODES.values())
        | {"TRY_AGAIN", "OVERLOADED", "BODY_TOO_LATE"}
    )
    assert codes - BASES - documented_codes() == set()


def test_every_core_error_has_its_documented_status():
    text = (DOCS / "errors.md").read_text()
    sections = {404: "does not exist (404)", 409: "forbids it now (409)", 422: "cannot be applied (422)"}
    for status, title in sections.items():
        part = text.split(title)[1].split("\n## ")[0]
        listed = set(re.findall(r"`([A-Z][A-Z_]{3,})`", part)) - {"READY", "PASS", "FAIL"}
        actual = {error.code for error in all_errors() if error.status == status}
        assert actual - BASES - listed == set(), f"missing under {status}"


@pytest.mark.parametrize(
    "page", sorted([*DOCS.glob("*.md"), *Path(settings.BASE_DIR).glob("*.md")]), ids=lambda p: p.name
)
def test_links_of_a_page_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_unit_of_the_web_server_starts_it_as_the_product_does():
    unit = re.search(r"^ExecStart=(.* mes\.rsgi:application .*)$", (DOCS / "operations.md").read_text(), re.MULTILINE)
    assert unit is not None
    assert sorted(unit[1].split()[1:]) == sorted(web.command("127.0.0.1", 8000)[1:])


def test_every_setting_of_the_environment_is_documented():
    source = (Path(settings.BASE_DIR) / "mes" / "settings.py").read_text()
    names = set(re.findall(r'(?:env\.\w+|_flag|_number|_kept_for|_address|_choice)\(\s*"([A-Z_]+)"', source))
    documented = (DOCS / "operations.md").read_text()
    assert {name for name in names if name not in documented} == set()


def test_messages_can_be_formatted_with_what_they_name():
    for error in all_errors():
        fields = re.findall(r"{(\w+)}", str(error.message))
        if error not in (mes.errors.ValidationFailed, mes.errors.ParseFailed):
            assert str(error(**dict.fromkeys(fields, "x")))


def all_hooks() -> Iterator[str]:
    """Yield the names of hooks, also of those that a dictionary holds by a name."""
    for module in [module for name, module in sys.modules.items() if name.partition(".")[0] in OUR_APPS]:
        for name, value in vars(module).items():
            if any(isinstance(hook, Hook) for hook in (value.values() if isinstance(value, dict) else [value])):
                yield name


def test_every_hook_is_named_in_the_recipes():
    text = (Path(settings.BASE_DIR) / "CONTRIBUTING.md").read_text()
    names = set(all_hooks())
    assert {"run_ended", "handlers", "tasks"} <= names
    assert {name for name in names if not re.search(rf"\b{name}\b", text)} == set()
