"""The defect codes and their aliases, as a process remembers them: a tree, and what is meant by what was reported.

What decides about units reads the version of the catalogue along (`SELECT_VERSION`, a scalar in its own statement) and
asks here for that version: it was read under the locks, so it is never stale, and costs no statement until somebody
changes a code.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import cache, cached_property
from typing import Any

import msgspec

from execution.quality.defect_codes.models import DefectSeverity
from mes import errors
from mes.platform.database.prepared import fetch_all

UNSPECIFIED = "UNSPECIFIED"  # the code of a defect that was reported without one
OUT_OF_LIMITS = "OUT_OF_LIMITS"  # of a KEY value outside its limits
LEVELS = 4  # of the tree, at most
NEAREST = 5  # codes that are offered for one that is unknown
_KEPT = 8  # versions that are remembered: transactions that began before a change still read the one before
_LEAST_LIKE = 0.5

SELECT_VERSION = "(SELECT version::text FROM execution_defectcatalogue LIMIT 1)"
# The category of the code of a defect `d`, its own or the nearest above it; NULL where there is none.
SELECT_CATEGORY = """
    (SELECT COALESCE(NULLIF(c.category, ''), NULLIF(c2.category, ''), NULLIF(c3.category, ''), NULLIF(c4.category, ''))
       FROM execution_defectcode c
       LEFT JOIN execution_defectcode c2 ON c2.id = c.parent_id
       LEFT JOIN execution_defectcode c3 ON c3.id = c2.parent_id
       LEFT JOIN execution_defectcode c4 ON c4.id = c3.parent_id
      WHERE c.code = d.code LIMIT 1)
"""
_READ = f"""
    SELECT {SELECT_VERSION},
           (SELECT json_agg(json_build_array(c.code, c.name, p.code, c.category, c.severity, c.is_active)
                            ORDER BY c.code)::text
              FROM execution_defectcode c LEFT JOIN execution_defectcode p ON p.id = c.parent_id),
           (SELECT json_agg(json_build_array(a.source_system, a.reported, c.code))::text
              FROM execution_defectalias a JOIN execution_defectcode c ON c.id = a.code_id)
"""


@dataclass(frozen=True, slots=True)
class KnownCode:
    """A code of the tree. `own_category` is blank where it has its parent's."""

    code: str
    name: str
    parent: str | None
    own_category: str
    severity: str
    is_active: bool


@dataclass(frozen=True)
class Catalogue:
    """All codes, by code, and aliases: what a source system (or any: "") calls which code."""

    codes: Mapping[str, KnownCode] = field(default_factory=dict)
    aliases: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def resolve(self, reported: str, source_system: str) -> str:
        """Return the code that a machine means: by its source's alias, by one of any source, or the code itself, in
        exactly this case. What nobody knows stays what was reported; nothing said is UNSPECIFIED.
        """
        if not reported:
            return UNSPECIFIED
        return self.aliases.get((source_system, reported)) or self.aliases.get(("", reported)) or reported

    def check_active(self, code: str) -> None:
        """Raise DefectCodeNotFound, with the nearest, for a code that a person cannot name."""
        known = self.codes.get(code)
        if known is None or not known.is_active:
            nearest = self.list_nearest(code)
            raise errors.DefectCodeNotFound(code=code, nearest=nearest)

    def list_nearest(self, text: str) -> list[str]:
        """Return the active codes that look most like a text, by code or name, the nearest first."""
        sought = text.casefold()
        likeness = {
            known.code: max(_likeness(sought, said.casefold()) for said in (known.code, known.name))
            for known in self.codes.values()
            if known.is_active
        }
        alike = sorted((code for code in likeness if likeness[code] >= _LEAST_LIKE), key=lambda it: (-likeness[it], it))
        return alike[:NEAREST]

    def is_defect(self, code: str) -> bool:
        """Whether a board with this is not acceptable. What is not in the tree is."""
        known = self.codes.get(code)
        return known is None or known.severity == DefectSeverity.DEFECT

    def category_of(self, code: str | None) -> str:
        """Return the category of a code, its own or that of the nearest above it; blank where none has one."""
        return next((known.own_category for known in self.list_up(code) if known.own_category), "")

    def list_up(self, code: str | None) -> Iterator[KnownCode]:
        """Yield a code and those above it, the root last."""
        for _level in range(LEVELS):
            if code is None or code not in self.codes:
                return
            yield self.codes[code]
            code = self.codes[code].parent

    def list_below(self, code: str) -> list[str]:
        """Return a code and all below it in the tree; of one that is not in the tree itself."""
        found = {code: None}
        level = [code]
        for _level in range(LEVELS):
            level = [child for one in level for child in self._children.get(one, ())]
            found |= dict.fromkeys(level)
        return list(found)

    def height_of(self, code: str) -> int:
        """Return how many levels a code and those below it are."""
        top = self.depth_of(code)
        return 1 + max(self.depth_of(below) - top for below in self.list_below(code))

    def depth_of(self, code: str | None) -> int:
        """Return on which level a code is, 1 of a root; 0 of none."""
        return sum(1 for _known in self.list_up(code))

    @cached_property
    def _children(self) -> Mapping[str | None, list[str]]:
        children: dict[str | None, list[str]] = {}
        for known in self.codes.values():
            children.setdefault(known.parent, []).append(known.code)
        return children


def _likeness(sought: str, said: str) -> float:
    return SequenceMatcher(None, sought, said).ratio()


NO_CODES = Catalogue()  # what decides where nothing was reported
_known: OrderedDict[str, Catalogue] = OrderedDict()


def _decode(text: str | None) -> list[list[Any]]:
    return msgspec.json.decode(text) if text else []


def of_version(version: str) -> Catalogue:
    """Return the catalogue of a version that was read; a query only where this process does not know it yet."""
    known = _known.get(version)
    return known if known is not None else load()


Codes = Callable[[], Catalogue]


def codes_when_asked() -> Codes:
    """Return what loads the catalogue when it is asked for first, and then knows it: for one report."""
    return cache(load)


def load() -> Catalogue:
    """Return the catalogue as it is now; one query."""
    [[version, codes, aliases]] = fetch_all(_READ, {})
    known = _known.get(version)
    if known is None:
        known = Catalogue(
            {row[0]: KnownCode(*row) for row in _decode(codes)},
            {(source_system, reported): code for source_system, reported, code in _decode(aliases)},
        )
        _known[version] = known
        while len(_known) > _KEPT:
            _known.popitem(last=False)
    return known
