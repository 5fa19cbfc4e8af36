"""What a step is worked by: titles with an address, or with a file that was sent. Pure rules and the frozen form."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from mes.platform.files.queries import address_of
from mes.platform.http.whole_numbers import whole_number

MOST = 20
LONGEST_TITLE = 200
LONGEST_URL = 2000
KEYS = ("title", "url", "fileId")


@dataclass(frozen=True)
class WorkInstruction:
    """An instruction as it was frozen: at an address, or a file by its id."""

    title: str
    url: str = ""
    file_id: int | None = None

    @property
    def address(self) -> str:
        """Where browsers show it."""
        return self.url if self.file_id is None else address_of(self.file_id)

    @property
    def document(self) -> dict[str, str]:
        """It, as configs and versions keep it."""
        where = {"url": self.url} if self.file_id is None else {"fileId": str(self.file_id)}
        return {"title": self.title, **where}


def read_instructions(documents: Iterable[Mapping[str, Any]]) -> tuple[WorkInstruction, ...]:
    """Parse the instructions of a config or of a version's document."""
    return tuple(
        WorkInstruction(each["title"], each.get("url", ""), int(each["fileId"]) if "fileId" in each else None)
        for each in documents
    )


def file_ids(documents: Iterable[Mapping[str, Any]] | None) -> set[int]:
    """Return the ids of the files that instructions name."""
    return {each.file_id for each in read_instructions(documents or ()) if each.file_id is not None}


def find_problems(instructions: Any) -> dict[str, str | Promise]:
    """Return a message per place (`0.url`) of a list of instructions; empty when they can be shown."""
    if not isinstance(instructions, list):
        return {"": _("Must be a list.")}
    if len(instructions) > MOST:
        return {"": _("At most 20 instructions.")}
    problems: dict[str, str | Promise] = {}
    for index, each in enumerate(instructions):
        if not isinstance(each, dict):
            problems[str(index)] = _("Must be an object.")
        else:
            problems |= {f"{index}.{key}".rstrip("."): text for key, text in _problems_of(each).items()}
    return problems


def _problems_of(instruction: dict[Any, Any]) -> dict[str, str | Promise]:
    problems: dict[str, str | Promise] = {key: _("Unknown field.") for key in instruction if key not in KEYS}
    if not _is_line(instruction.get("title"), LONGEST_TITLE):
        problems["title"] = _("Must be a text of 1 to 200 characters.")
    if ("url" in instruction) == ("fileId" in instruction):
        problems[""] = _("Must have either “url” or “fileId”.")
    elif "url" in instruction and not is_address(instruction["url"]):
        problems["url"] = _("Must be an address that begins with https://, http:// or /.")
    elif "fileId" in instruction and not _is_id(instruction["fileId"]):
        problems["fileId"] = _("Must be the id of a file.")
    return problems


def _is_line(text: Any, longest: int) -> bool:
    return isinstance(text, str) and bool(text.strip()) and len(text) <= longest and text.isprintable()


def _is_id(text: Any) -> bool:
    return isinstance(text, str) and whole_number(text) is not None


def is_address(text: Any) -> bool:
    """Whether a text is an address that can be shown as a link: of the web, or of this server's own.

    What runs something (`javascript:`), holds something (`data:`) or hides where it leads (`//host`, `/\\host`, a name
    before an @) is none.
    """
    if not _is_line(text, LONGEST_URL) or any(character.isspace() or character == "\\" for character in text):
        return False
    if text.startswith("/"):
        return not text.startswith("//")
    try:
        parts = urlsplit(text)
        is_plain = bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
        return is_plain and parts.scheme in ("http", "https")
    except ValueError:
        return False
