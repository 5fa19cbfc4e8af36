"""What an event must know of the world: one statement claims its key and locks, a second reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from django.utils import timezone

from execution import unit_state
from execution.unit_state import StationState, UnitState
from ingest import candidates
from ingest.candidates import Candidate, Meaning
from ingest.envelope import Sent
from ingest.mapping import extract as mappings
from mes import errors
from mes.plant.models import StationType
from mes.platform.database.prepared import as_json, fetch_all
from mes.production import locking
from mes.production.locking import Locked
from mes.production.models import OPEN_RUN_STATUSES

CLAIM = """
    INSERT INTO mes_idempotencykey (channel, key, digest, answer, created_at)
    VALUES (%(channel)s, %(key)s, %(digest)s, '{}', %(now)s) ON CONFLICT DO NOTHING RETURNING 1
"""
CLAIM_AND_LOCK = locking.claim_and_lock(CLAIM)

_OPEN = ", ".join(f"'{status}'" for status in OPEN_RUN_STATUSES)
LOOK = unit_state.statement(
    f"""CASE WHEN %(run_no)s::text IS NULL
             THEN (SELECT array_agg(DISTINCT route_version_id) FROM mes_run WHERE status IN ({_OPEN}))
             ELSE (SELECT array_agg(route_version_id) FROM mes_run WHERE run_no = %(run_no)s::text) END""",
    """(SELECT id FROM ingest_openingestevent
         WHERE source_system = %(source_system)s::text AND dedupe_key = %(key)s::text)""",
    """(SELECT json_agg(json_build_array(key, encode(digest, 'hex'), answer ->> 'dedupeKey'))
          FROM mes_idempotencykey
         WHERE channel = %(test_channel)s::text
           AND key = ANY(ARRAY(SELECT jsonb_array_elements_text(%(tests)s::jsonb))))::text""",
    "(SELECT nextval('ingest_settledingestevent_id_seq'))",
    of_unit="""
        (SELECT json_agg(json_build_array(blocked_unit_id, blocked_step_no, occurred_at,
                                          source_system = %(source_system)s::text AND dedupe_key = %(key)s::text))::text
           FROM ingest_openingestevent WHERE blocked_unit_id = u.id)""",
)


class Blocked(msgspec.Struct, array_like=True, frozen=True):
    """An open event that a unit's move to a step lets be tried. `is_own` is the very event that is looked for."""

    unit_id: int
    step_no: int
    occurred_at: datetime | None
    is_own: bool


class Tested(msgspec.Struct, array_like=True, frozen=True):
    """A test result that was reported, by the key of which event."""

    test_id: str
    digest: str
    dedupe_key: str


@dataclass(frozen=True, slots=True)
class Scene:
    """Where the units that an event may mean stand, under their locks, and what else is known of them and of it.

    `asked` are the serial numbers looked for; `testing` are the test results that it may report, `tested` those of them
    that were reported before; `event_id` is the id of the event when it is settled.
    """

    asked: frozenset[str]
    locked: Locked
    unit_states: Mapping[str, UnitState]
    station_states: Mapping[str, StationState]
    is_open: bool
    blocked: Sequence[Blocked]
    testing: Mapping[str, Sequence[Candidate]]
    tested: tuple[Tested, ...]
    event_id: int

    @property
    def watched(self) -> frozenset[int]:
        """The units whose moves open events wait for."""
        return frozenset(one.unit_id for one in self.blocked)


_decode_blocked = msgspec.json.Decoder(list[Blocked]).decode
_decode_tested = msgspec.json.Decoder(tuple[Tested, ...]).decode


def claim(sent: Sent) -> bool:
    """Claim the event's key; return whether it was free."""
    return bool(fetch_all(CLAIM, _claimed(sent)))


def claim_and_lock(sent: Sent, meant: Meaning) -> Locked | None:
    """Claim the event's key and lock the runs and units it may mean; None, and nothing, where the key is taken."""
    row = fetch_all(CLAIM_AND_LOCK, {**_claimed(sent), **locking.parameters(meant.sns, meant.run_no)})[0]
    return locking.as_locked(row) if row[0] else None


def _claimed(sent: Sent) -> dict[str, Any]:
    return {"channel": sent.channel, "key": sent.envelope.dedupe_key, "digest": sent.digest, "now": timezone.now()}


def look(sent: Sent, meant: Meaning, locked: Locked | None) -> Scene:
    """Read where the units stand. Raises Outdated when the event was read by other routes than are open now.

    Without `locked`, it is only looked at.
    """
    testing = _find_tests(sent, meant)
    seen = unit_state.load_states(
        meant.sns,
        locked=locked,
        stations=meant.station_codes,
        reading=LOOK,
        given={
            "run_no": meant.run_no,
            "source_system": sent.envelope.source_system,
            "key": sent.envelope.dedupe_key,
            "test_channel": sent.test_channel,
            "tests": as_json(list(testing)),
        },
    )
    version_ids, open_id, tested, event_id = seen.more
    if meant.version_ids != set(version_ids or ()):
        candidates.forget()
        raise locking.Outdated
    return Scene(
        asked=frozenset(meant.sns),
        locked=locked or locking.NOTHING,
        unit_states=seen.unit_states,
        station_states=seen.station_states,
        is_open=open_id is not None,
        blocked=[one for text in seen.of_units if text for one in _decode_blocked(text)],
        testing=testing,
        tested=_decode_tested(tested) if tested else (),
        event_id=event_id,
    )


def _find_tests(sent: Sent, meant: Meaning) -> dict[str, list[Candidate]]:
    """Return the test results that an event may report, by id, with those whose mappings say so."""
    found: dict[str, list[Candidate]] = {}
    if sent.envelope.event_type == StationType.TEST:
        for one in meant.named:
            try:
                mappings.find_names(one.candidate.mapping, sent.said)
                test_id = mappings.find_test_result_id(one.candidate.mapping, sent.said)
            except errors.IngestPayloadInvalid:
                continue
            found.setdefault(test_id, []).append(one.candidate)
    return found
