"""Examples of mappings: keeping them, and holding them against the steps that a route is compiled to."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog
from django.db import connection, transaction
from django.utils.translation import gettext as _

from mes.errors import ExecutionConfigNotFound, ValidationFailed
from mes.platform.database.lookup import get_or_raise
from mes.platform.http.parsing import describe
from mes.routing import hooks
from mes.routing.models import MappingExample, RouteExecutionConfig
from mes.routing.snapshots import StepSnapshot

LARGEST_EVENT = 64 * 1024  # bytes, as JSON without blanks
MOST_EXAMPLES = 20  # of a config
FAILED = "MAPPING_EXAMPLE_FAILED"

logger = structlog.get_logger(__name__)


# --- what is expected, and what is found (pure) -----------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """Where what was found first differs from what was expected."""

    path: str
    expected: Any
    found: Any


@dataclass(frozen=True)
class ExampleResult:
    """Whether a step still reads an example as it was kept. `message` says in words why it is refused."""

    step_no: int
    name: str
    difference: Difference | None = None
    message: str = ""

    @property
    def passed(self) -> bool:
        """Whether nothing differs."""
        return self.difference is None

    def as_json(self) -> dict[str, Any]:
        """Return it as a compilation that stores nothing answers it."""
        return {"stepNo": self.step_no, "name": self.name, "passed": self.passed}

    @property
    def problem(self) -> dict[str, Any] | None:
        """What keeps the version from being used; None where it passed."""
        if self.difference is None:
            return None
        path, expected, found = self.difference.path, self.difference.expected, self.difference.found
        text = _("The example “%(name)s” is read otherwise: %(path)s is %(found)s, not %(expected)s.")
        told = {"name": self.name, "path": path, "found": _short(found), "expected": _short(expected)}
        return {
            "stepNo": self.step_no,
            "code": FAILED,
            "message": f"{text % told} {self.message}".rstrip(),
            "name": self.name,
            "path": path,
            "expected": expected,
            "found": found,
        }


def _short(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 80 else f"{text[:80]}…"


def find_difference(expected: Mapping[str, Any], found: Mapping[str, Any]) -> Difference | None:
    """Return where an outcome first differs from the expected one.

    What is not expected at all is not compared, so that what is extracted some day besides fails no example; but of
    `values`, all count.
    """
    if "code" in expected or "code" in found:
        codes = expected.get("code"), found.get("code")
        return None if codes[0] == codes[1] else Difference("code", *codes)
    return next(_differences(expected, found, ""), None)


def _differences(expected: Any, found: Any, path: str) -> Iterator[Difference]:
    name = path.rpartition(".")[2]
    if name == "values" and isinstance(expected, dict) and isinstance(found, dict):
        for spec in sorted(expected.keys() | found.keys()):
            if not _is_same(expected.get(spec), found.get(spec)):
                yield Difference(f"{path}.{spec}", expected.get(spec), found.get(spec))
    elif isinstance(expected, dict) and isinstance(found, dict):
        for key, inner in expected.items():
            yield from _differences(inner, found.get(key), f"{path}.{key}".lstrip("."))
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, (one, other) in enumerate(zip(expected, found, strict=True)):
            yield from _differences(one, other, f"{path}.{index}")
    elif not _is_same(expected, found):
        yield Difference(path, expected, found)


def _is_same(expected: Any, found: Any) -> bool:
    """Compare without coercion, but that 5 is 5.0."""
    if isinstance(expected, bool) or isinstance(found, bool):
        return expected is found
    if isinstance(expected, list) and isinstance(found, list):
        return len(expected) == len(found) and all(map(_is_same, expected, found))
    if isinstance(expected, dict) and isinstance(found, dict):
        return expected.keys() == found.keys() and all(_is_same(expected[key], found[key]) for key in expected)
    return bool(expected == found)


def read_outcome(step: StepSnapshot, event: Any) -> dict[str, Any]:
    """Return what an example of the event would expect of the step: what it makes of it now."""
    return hooks.read_example(step, as_kept(event)).outcome


def as_kept(event: Any) -> Any:
    """Return an event as the database gives it back, and compiling reads it: the members of its objects stand in an
    order of their own, which a path such as `boards.*` follows. One query.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::jsonb::text", [json.dumps(event)])
        return json.loads(cursor.fetchone()[0])


def run_example(step: StepSnapshot, example: MappingExample) -> ExampleResult:
    """Hold an example against a step. What nobody foresaw fails the example, and stops no compilation."""
    try:
        reading = hooks.read_example(step, example.event)
        difference = find_difference(example.expected, reading.outcome)
    except Exception:
        logger.exception("example failed", example_id=example.pk, step_no=step.step_no)
        return ExampleResult(step.step_no, example.name, Difference("code", None, "INTERNAL_ERROR"))
    return ExampleResult(step.step_no, example.name, difference, reading.message if difference else "")


def run_examples(steps: Iterable[tuple[StepSnapshot, RouteExecutionConfig | None]]) -> list[ExampleResult]:
    """Hold the examples of configs against the steps whose mappings they are; in order of steps and names.

    One query. A step without a mapping runs none.
    """
    mapped = [(step, config) for step, config in steps if config is not None and step.ingest_mapping is not None]
    by_config: dict[int, list[MappingExample]] = {}
    for example in MappingExample.objects.filter(config__in={config.pk for _step, config in mapped}).order_by("name"):
        by_config.setdefault(example.config_id, []).append(example)
    return [run_example(step, example) for step, config in mapped for example in by_config.get(config.pk, ())]


# --- keeping ----------------------------------------------------------------------------------------------


class _Unit(msgspec.Struct, forbid_unknown_fields=True):
    sn: str | None = None
    position: str | None = None
    result: str | None = None
    values: dict[str, Any] = {}
    code: str | None = None


class _Expected(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    code: str | None = None
    phase: str | None = None
    result: str | None = None
    station_code: str | None = None
    carrier_no: str | None = None
    units: list[_Unit] = []
    values: dict[str, Any] = {}


def create_example(config: RouteExecutionConfig, *, name: str, event: Any, expected: Any) -> MappingExample:
    """Keep an example of a config. Raises ValidationFailed."""
    with transaction.atomic():
        _lock(config)
        if config.examples.count() >= MOST_EXAMPLES:
            raise ValidationFailed({"name": _("A config has at most %(most)d examples.") % {"most": MOST_EXAMPLES}})
        example = MappingExample(config=config, name=name, event=event, expected=expected)
        _check(example)
        example.save(force_insert=True)
        return example


def update_example(example: MappingExample, **values: Any) -> MappingExample:
    """Change an example. Raises ValidationFailed."""
    with transaction.atomic():
        _lock(example.config)
        for name, value in values.items():
            setattr(example, name, value)
        _check(example)
        example.save()
        return example


def _lock(config: RouteExecutionConfig) -> None:
    """Let nobody else keep examples of the config meanwhile, so that both their number and their names hold."""
    configs = RouteExecutionConfig.objects.select_for_update(no_key=True, of=("self",))
    get_or_raise(configs, ExecutionConfigNotFound, pk=config.pk)


def _check(example: MappingExample) -> None:
    problems = find_event_problems(example.event) | find_expected_problems(example.expected)
    others = MappingExample.objects.filter(config=example.config_id, name=example.name).exclude(pk=example.pk)
    if others.exists():
        problems["name"] = _("Another example of the config has this name.")
    if problems:
        raise ValidationFailed(problems)


def find_event_problems(event: Any) -> dict[str, str]:
    """Return what keeps an event from being an example's, by place. It need not be a sound one. Pure."""
    if not isinstance(event, dict):
        return {"event": _("Must be an object: the body of a machine event.")}
    if (size := _size_of(event)) > LARGEST_EVENT:
        text = _("Is %(size)d bytes; an example has at most %(limit)d.")
        return {"event": text % {"size": size, "limit": LARGEST_EVENT}}
    return {}


def find_expected_problems(expected: Any) -> dict[str, str]:
    """Return what is wrong with what is expected of an event, by place. Pure."""
    if not isinstance(expected, dict) or not expected:
        return {"expected": _("Must be an object that says what is expected.")}
    if _size_of(expected) > LARGEST_EVENT:
        return {"expected": _("Must have at most %(limit)d bytes.") % {"limit": LARGEST_EVENT}}
    try:
        msgspec.convert(expected, _Expected)
    except msgspec.ValidationError as error:
        return {f"expected.{at}".removesuffix(".body"): text for at, text in describe(error).items()}
    return {}


def _size_of(document: Any) -> int:
    return len(msgspec.json.encode(document))
