"""Where the units of an event stand: one statement claims its key and locks them, a second reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from execution import unit_state
from execution.unit_state import StationState, UnitState
from ingest import candidates, keys
from ingest.candidates import Candidate, EventCandidates
from ingest.envelope import ReceivedEvent
from mes import errors
from mes.plant.models import StationType
from mes.platform.database.prepared import as_json, fetch_all
from mes.platform.inbound.keys import CLAIM
from mes.production import locking
from mes.production.locking import Locked
from mes.production.models import OPEN_RUN_STATUSES

CLAIM_AND_LOCK = locking.claim_and_lock(CLAIM)

_OPEN = ", ".join(f"'{status}'" for status in OPEN_RUN_STATUSES)
READ_CONTEXT = unit_state.statement(
    f"""CASE WHEN %(run_no)s::text IS NULL
             THEN (SELECT array_agg(DISTINCT route_version_id) FROM mes_run WHERE status IN ({_OPEN}))
             ELSE (SELECT array_agg(route_version_id) FROM mes_run WHERE run_no = %(run_no)s::text) END""",
    """(SELECT CASE WHEN cardinality(held_unit_ids) > 0 AND held_unit_ids @> unit_ids THEN encode(digest, 'hex') ELSE ''
               END FROM ingest_openingestevent
         WHERE source_system = %(source_system)s::text AND dedupe_key = %(key)s::text)""",
    """(SELECT json_agg(json_build_array(key, encode(digest, 'hex'), answer ->> 'dedupeKey'))
          FROM mes_idempotencykey
         WHERE channel = %(test_channel)s::text
           AND key = ANY(ARRAY(SELECT jsonb_array_elements_text(%(tests)s::jsonb))))::text""",
    "(SELECT nextval('ingest_settledingestevent_id_seq'))",
    of_unit="""
        (SELECT json_agg(json_build_array(blocked_unit_id, blocked_step_no,
                                          greatest(blocked_step_no, step_no), occurred_at,
                                          source_system = %(source_system)s::text AND dedupe_key = %(key)s::text))::text
           FROM ingest_openingestevent WHERE blocked_unit_id = u.id)""",
)


class BlockedEvent(msgspec.Struct, array_like=True, frozen=True):
    """An open event that a unit's move to a step lets be tried: to one from `step_no` up to `last_step_no`.

    `is_own` is the very event that is being attempted.
    """

    unit_id: int
    step_no: int
    last_step_no: int
    occurred_at: datetime | None
    is_own: bool


class ReportedTest(msgspec.Struct, array_like=True, frozen=True):
    """A test result that was reported, by the key of which event."""

    test_result_id: str
    digest: str
    dedupe_key: str


@dataclass(frozen=True, slots=True)
class EventContext:
    """Where the units that an event may be for stand, under their locks, and what else is known of them and of it.

    `sns` are the serial numbers looked for, `reference_sns` those of them that are reference units'; `tests` are the
    test results that the event may report, with the candidates that find them, `reported_tests` those of them that were
    reported before; `event_id` is the id that the event gets when it is settled. `is_open`: an event is kept open under
    its key; `has_held`: with its content, and it holds all its units.
    """

    sns: frozenset[str]
    locked: Locked
    unit_states: Mapping[str, UnitState]
    station_states: Mapping[str, StationState]
    reference_sns: frozenset[str]
    is_open: bool
    has_held: bool
    blocked_events: Sequence[BlockedEvent]
    tests: Mapping[str, Sequence[Candidate]]
    reported_tests: tuple[ReportedTest, ...]
    event_id: int

    @property
    def watched_unit_ids(self) -> frozenset[int]:
        """The units whose moves open events wait for."""
        return frozenset(blocked.unit_id for blocked in self.blocked_events)


_decode_blocked = msgspec.json.Decoder(list[BlockedEvent]).decode
_decode_tests = msgspec.json.Decoder(tuple[ReportedTest, ...]).decode


def claim_and_lock(event: ReceivedEvent, event_candidates: EventCandidates) -> Locked | None:
    """Claim the event's key and lock the runs and units it may be for; None, and nothing, where the key is taken."""
    values = locking.parameters(event_candidates.sns, event_candidates.run_no, event_candidates.moment)
    row = fetch_all(CLAIM_AND_LOCK, {**keys.claim_parameters(event), **values})[0]
    return locking.as_locked(row) if row[0] else None


def lock(event_candidates: EventCandidates) -> Locked:
    """Lock the runs and units that an event may be for, whose key is held."""
    return locking.lock(event_candidates.sns, run_no=event_candidates.run_no, moment=event_candidates.moment)


def load_context(event: ReceivedEvent, event_candidates: EventCandidates, locked: Locked | None) -> EventContext:
    """Read where the units stand. Raises Outdated when the event was read by other routes than are open now, and where
    it names units by earlier serial numbers: from then on it is read by their present ones.

    Without `locked`, what is read may change at any moment.
    """
    tests = _find_tests(event, event_candidates)
    states = unit_state.load_states(
        event_candidates.sns,
        locked=locked,
        stations=event_candidates.station_codes,
        reading=READ_CONTEXT,
        parameters={
            "run_no": event_candidates.run_no,
            "source_system": event.envelope.source_system,
            "key": event.envelope.dedupe_key,
            "test_channel": event.test_channel,
            "tests": as_json(list(tests)),
        },
    )
    if states.names.present:
        event.call_by(states.names.present)
        raise locking.Outdated
    version_ids, held_digest, reported_tests, event_id = states.more
    if event_candidates.version_ids != set(version_ids or ()):
        candidates.forget()
        raise locking.Outdated
    return EventContext(
        sns=frozenset(event_candidates.sns),
        locked=locked or locking.NOTHING,
        unit_states=states.unit_states,
        station_states=states.station_states,
        reference_sns=states.names.references,
        is_open=held_digest is not None,
        has_held=held_digest == event.digest.hex(),
        blocked_events=[blocked for text in states.of_units if text for blocked in _decode_blocked(text)],
        tests=tests,
        reported_tests=_decode_tests(reported_tests) if reported_tests else (),
        event_id=event_id,
    )


def _find_tests(event: ReceivedEvent, event_candidates: EventCandidates) -> dict[str, list[Candidate]]:
    """Return the test results that an event may report, by id, with the candidates that find units and the id."""
    tests: dict[str, list[Candidate]] = {}
    if event.envelope.event_type == StationType.TEST:
        for candidate in event_candidates.candidates:
            try:
                _sns, test_result_id = candidate.reading.sns, keys.key_of_test(event, candidate.reading)
            except errors.IngestPayloadInvalid:
                continue
            tests.setdefault(test_result_id, []).append(candidate)
    return tests


def find_repeated_test(event: ReceivedEvent, context: EventContext) -> str | None:
    """Return the key of another event that reported the same test result before, wherever its unit is by now.

    Raises DedupeKeyConflict when other content was reported under its id.
    """
    for reported in context.reported_tests:
        if reported.dedupe_key != event.envelope.dedupe_key:
            candidates_of_test = context.tests.get(reported.test_result_id, ())
            digests = {keys.digest_of_test(event, candidate.reading) for candidate in candidates_of_test}
            is_same = bytes.fromhex(reported.digest) in digests
            keys.check_same_test(event, reported.test_result_id, is_same=is_same)
            return reported.dedupe_key
    return None
