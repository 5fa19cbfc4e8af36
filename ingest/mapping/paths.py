"""Following a mapping's paths: JMESPath on the event, or on an item of it. Pure."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from mes import errors

_PLAIN_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


@lru_cache(maxsize=2048)
def _compiled(path: str) -> Callable[[Any], Any]:
    if not _PLAIN_PATH.fullmatch(path):
        return jmespath.compile(path).search
    names = path.split(".")

    def follow(root: Any) -> Any:  # most paths name nothing but members, which needs no interpreter
        for name in names:
            if not isinstance(root, dict):
                return None
            root = root.get(name)
        return root

    return follow


def search(path: str, root: Any) -> Any:
    """Return what a path finds. Raises IngestPayloadInvalid when the path cannot be applied to what is there."""
    try:
        return _compiled(path)(root)
    except (JMESPathError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        raise invalid(f"{path}: {str(error).splitlines()[0]}") from None


def invalid(*problems: str) -> errors.IngestPayloadInvalid:
    """Return the refusal of a payload that the mapping does not fit."""
    return errors.IngestPayloadInvalid(problems=list(problems))


def text_at(path: str | None, root: Any) -> str | None:
    """Return the text a path finds; numbers that name something are taken as they are written."""
    found = search(path, root) if path else None
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    return found if isinstance(found, str) and found else None


def list_at(path: str, root: Any) -> list[Any]:
    found = search(path, root)
    return found if isinstance(found, list) else []


def is_same(found: Any, word: Any) -> bool:
    """Compare without coercion: true is not 1, "1" is not 1."""
    return isinstance(found, bool) == isinstance(word, bool) and found == word and found is not None
