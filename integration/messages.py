"""The message log: what was sent, what became of it. Open work (FAILED) lies apart from history."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import IntegrityError, connection, transaction
from django.db.models import BigIntegerField, F, Func, Value
from django.utils import timezone
from msgspec.structs import replace
from psycopg.types.json import Jsonb

from integration import refusal_notices
from integration.models import Direction, FailedMessage, MessageStatus, SettledMessage
from mes.errors import DomainError, KeyConflict
from mes.platform import request_ids
from mes.platform.database.prepared import as_json, columns_of, fetch_all
from mes.platform.http import parsing
from mes.platform.http.envelope import refusal_as_json
from mes.platform.inbound import keys
from mes.platform.inbound.messages import KEPT_RAW_BYTES, Message, Outcome, Received, key_in, raw_payload
from mes.platform.inbound.models import IdempotencyKey
from mes.platform.inbound.sender import Sender
from mes.platform.notifications.rule_models import NoticeEvent
from mes.platform.notifications.services import interest

DEVICE_DATA = "DEVICE_DATA"
DEVICE_DATA_CHANNEL = "device-data"  # of the key table

_REFUSED_TYPES = {
    "key": "text",
    "digest": "text",
    "system": "text",
    "payload": "jsonb",
    "code": "text",
    "error": "jsonb",
    "count": "integer",
    "subject": "text",
    "sent_key": "text",
    "status": "text",
    "held_unit_ids": "bigint[]",
}
# The same message sent twice at once may be refused and, before that is kept, applied: then it is not kept. The rows
# are written in one order, or batches that share failures would deadlock. Whom it has held stays in its error: it holds
# none twice.
KEEP_REFUSED = f"""
    WITH refused AS MATERIALIZED (
        SELECT {columns_of("message", _REFUSED_TYPES)}
          FROM jsonb_array_elements(%(refused)s::jsonb) AS refused(message)
    )
    INSERT INTO integration_failedmessage
           (received_at, direction, system, entity_type, business_key, dedupe_key, status, payload, error_code, error,
            count, last_at, request_id, digest, subject, held_unit_ids)
    SELECT %(at)s::timestamptz, 'INBOUND', r.system, %(entity_type)s::text, r.sent_key, r.key, r.status, r.payload,
           r.code, r.error, r.count, %(at)s::timestamptz, %(request_id)s::text, decode(r.digest, 'hex'), r.subject,
           r.held_unit_ids
      FROM refused r
     WHERE NOT EXISTS (SELECT FROM mes_idempotencykey k
                        WHERE k.channel = %(channel)s::text AND k.key = r.key AND k.digest = decode(r.digest, 'hex'))
     ORDER BY r.key, r.digest, r.code
    ON CONFLICT (entity_type, dedupe_key, digest, error_code) DO UPDATE
       SET count = integration_failedmessage.count + EXCLUDED.count, last_at = EXCLUDED.last_at,
           error = CASE WHEN integration_failedmessage.error #> '{{details,held}}' IS NULL THEN EXCLUDED.error
                        ELSE jsonb_set(EXCLUDED.error, '{{details,held}}', (
                            SELECT jsonb_agg(DISTINCT sn)
                              FROM jsonb_array_elements((integration_failedmessage.error #> '{{details,held}}')
                                     || coalesce(EXCLUDED.error #> '{{details,held}}', '[]')) AS held(sn))) END,
           subject = EXCLUDED.subject, request_id = EXCLUDED.request_id,
           held_unit_ids = ARRAY(SELECT unnest(integration_failedmessage.held_unit_ids)
                                  UNION SELECT unnest(EXCLUDED.held_unit_ids) ORDER BY 1)
    RETURNING id, dedupe_key, encode(digest, 'hex'), error_code, {interest(NoticeEvent.EVENT_REJECTED)}
"""


def lock_open(entity_type: str, keys: str) -> str:
    """Return the statement that locks the open messages of keys, which a SELECT gives, in the order in which
    `KEEP_REFUSED` locks them.
    """
    return f"""
        SELECT id FROM integration_failedmessage WHERE entity_type = {entity_type} AND dedupe_key = ANY(ARRAY({keys}))
         ORDER BY dedupe_key, digest, error_code FOR UPDATE
    """


# Messages of the key that failed before are settled under their own ids.
SETTLE_REOPENED = f"""
    WITH reopened AS (
        DELETE FROM integration_failedmessage
         WHERE id = ANY(ARRAY({lock_open("%(entity_type)s", "SELECT %(key)s")})) RETURNING *
    )
    INSERT INTO integration_settledmessage
           (id, received_at, direction, system, entity_type, business_key, dedupe_key, status, payload, error_code,
            error, count, last_at, record_id, note, request_id)
    SELECT id, received_at, direction, system, entity_type, business_key, dedupe_key, 'REPLAYED', payload, error_code,
           error, count, %(at)s, %(record_id)s, %(note)s, request_id
      FROM reopened
"""


Sameness = tuple[str, bytes, str]  # key, digest, error code: what has them in common counts up


@dataclass(frozen=True, slots=True)
class Refusal:
    """A message that could not be applied, why, and the ids of the units that are held for it."""

    message: Message
    error: DomainError
    held_unit_ids: Sequence[int] = ()

    @property
    def sameness(self) -> Sameness:
        """What counts up as the same failure."""
        return self.message.key, self.message.digest, self.error.code


@dataclass(frozen=True)
class MessageLog:
    """The messages of a kind, `entity_type`, the channel that their keys are claimed in, and what a key is called."""

    entity_type: str
    channel: str
    key_name: str = "eventId"

    def keep_malformed(self, malformed: Sequence[tuple[bytes, DomainError]], sender: Sender) -> list[str | None]:
        """Keep bodies that are not well-formed, as far as they can be kept; return the ids they carry."""
        messages = [_as_message(raw, sender, self.key_name) for raw, _error in malformed]
        errors = [error for _raw, error in malformed]
        self.keep_refused(list(zip(messages, errors, strict=True)))
        return [message.key or None for message in messages]

    def keep_refused(self, refused: Sequence[tuple[Message, DomainError]]) -> list[Outcome]:
        """Keep messages that could not be applied, so that they can be replayed. The same failure counts up."""
        self.keep([Refusal(message, error) for message, error in refused])
        return [error for _message, error in refused]

    def keep(self, refusals: Sequence[Refusal]) -> dict[Sameness, int]:
        """Keep refusals in one statement; return the ids under which they are open work, by what makes them the same.

        One whose content was applied meanwhile is not kept.
        """
        same: dict[Sameness, list[Refusal]] = {}
        for refusal in refusals:
            same.setdefault(refusal.sameness, []).append(refusal)
        rows = [_refused_row(repeats) for repeats in same.values()]
        names = {"entity_type": self.entity_type, "channel": self.channel}
        given = {"refused": as_json(rows), "at": timezone.now(), "request_id": request_ids.current()}
        with transaction.atomic(savepoint=False):  # what is kept is told of, whatever happens between
            kept = fetch_all(KEEP_REFUSED, {**given, **names})
            ids = {(key, bytes.fromhex(digest), code): message_id for message_id, key, digest, code, _is_told in kept}
            if kept and kept[0][-1]:
                self._tell(same, ids)
        return ids

    def _tell(self, same: Mapping[Sameness, Sequence[Refusal]], ids: Mapping[Sameness, int]) -> None:
        refusals = {sameness: repeats[-1] for sameness, repeats in same.items() if sameness in ids}
        refusal_notices.tell(
            [
                refusal_notices.Refused(
                    message_id=ids[sameness],
                    entity_type=self.entity_type,
                    system=refusal.message.system,
                    key=keys.sent_key(refusal.message.key),
                    payload=refusal.message.decoded(),
                    error=refusal.error,
                )
                for sameness, refusal in refusals.items()
            ]
        )

    def keep_conflicts(self, conflicts: Sequence[tuple[Message, KeyConflict]]) -> list[Outcome]:
        """Keep messages whose key was used with other content, under keys of their own, until somebody decides.

        The same content again counts up; after the decision it is a duplicate.
        """
        own = [replace(message, key=keys.own_key(message.key, message.digest)) for message, _error in conflicts]
        decided = keys.find_claimed(self.channel, [message.key for message in own])
        repeats = [decided.get(message.key) for message in own]
        self.log_repeats(
            [(message, self.answer_again(key)) for message, key in zip(own, repeats, strict=True) if key is not None]
        )
        open_conflicts = [
            (message, error)
            for message, (_sent, error), key in zip(own, conflicts, repeats, strict=True)
            if key is None
        ]
        answers = iter(self.keep_refused(open_conflicts) if open_conflicts else ())
        return [next(answers) if key is None else self.answer_again(key) for key in repeats]

    def answer_again(self, key: IdempotencyKey) -> Received:
        """Return what the sender of a message is answered whose key was claimed before."""
        assert key.record_id is not None  # claimed with its record, or dismissed
        return Received({"id": str(key.record_id), **key.answer, "isDuplicate": True}, key.record_id, is_duplicate=True)

    def dismissed_answer(self, message: FailedMessage) -> dict[str, Any]:
        """Return what is kept beside the key of a dismissed message: its repeats are answered by it."""
        at = message.received_at.isoformat().replace("+00:00", "Z")
        return {"eventId": message.sent_key, "receivedAt": at, "isDuplicate": False}

    def log_repeats(self, duplicates: Sequence[tuple[Message, Received]]) -> None:
        """Log messages whose key was used. A duplicate keeps no payload: its first message has it."""
        at = timezone.now()
        SettledMessage.objects.bulk_create(
            self._settled(message, MessageStatus.DUPLICATE, at=at, record_id=received.record_id)
            for message, received in duplicates
        )

    def log_applied(self, message: Message, *, record_id: int, note: dict[str, Any] | None = None) -> None:
        """Log a message that was applied, in its transaction. With a `note` it is the replay of an open message, which
        gets no second one.
        """
        at = timezone.now()
        if note is None:
            applied = self._settled(
                message, MessageStatus.SUCCESS, at=at, record_id=record_id, payload=message.decoded()
            )
            SettledMessage.objects.bulk_create([applied])
        values: dict[str, Any] = {
            "entity_type": self.entity_type,
            "key": message.key,
            "at": at,
            "record_id": record_id,
            "note": None if note is None else Jsonb(note),
        }
        with connection.cursor() as cursor:
            cursor.execute(SETTLE_REOPENED, values)

    def _settled(self, message: Message, status: MessageStatus, *, at: datetime, **fields: Any) -> SettledMessage:
        return SettledMessage(
            received_at=at,
            direction=Direction.INBOUND,
            system=message.system,
            entity_type=self.entity_type,
            business_key=keys.sent_key(message.key),
            dedupe_key=message.key,
            status=status,
            last_at=at,
            **fields,
        )


def _refused_row(repeats: Sequence[Refusal]) -> tuple[Any, ...]:
    """Return what KEEP_REFUSED is given of messages that say and lack the same, in the order of _REFUSED_TYPES."""
    message, error = repeats[0].message, repeats[-1].error
    held = sorted({unit_id for refusal in repeats for unit_id in refusal.held_unit_ids})
    described, is_conflict = refusal_as_json(error), isinstance(error, KeyConflict)
    sent_key = error.details["event_id"] if is_conflict else keys.sent_key(message.key)
    return (
        message.key,
        message.digest.hex(),
        message.system,
        message.decoded(),
        error.code,
        described,
        len(repeats),
        error.subject,
        sent_key,
        (MessageStatus.CONFLICT if is_conflict else MessageStatus.FAILED).value,
        f"{{{','.join(map(str, held))}}}",
    )


def _as_message(raw: bytes, sender: Sender, key_name: str) -> Message:
    """Return a body that is not well-formed as a message, as far as it can be kept."""
    payload = _kept_payload(raw)
    key = (key_in(raw, key_name) or "")[:200]
    return Message(key, hashlib.sha256(raw).digest(), sender.system, payload)


def _kept_payload(raw: bytes) -> Any:
    """Return what can be kept of a body: it as it is, or the beginning of one that is too long or no JSON."""
    if len(raw) > KEPT_RAW_BYTES:
        return raw_payload(raw)
    try:
        return parsing.decode(raw)
    except DomainError:
        return raw_payload(raw)


def list_held(message: FailedMessage) -> list[str]:
    """Return the serial numbers that an open message has held."""
    details = (message.error or {}).get("details") or {}
    return list(details.get("held") or ())


def note_failed_replay(message: FailedMessage, error: DomainError, *, held_unit_ids: Sequence[int] = ()) -> None:
    """Note on an open message that replaying it failed, and why. Whom it has held stays noted.

    One whose key other content has spent by now is a conflict from then on: it can still be taken for one of its own.
    """
    if held := list_held(message):
        error = error.with_details(held=sorted({*held, *error.details.get("held", ())}))
    same = FailedMessage.objects.filter(pk=message.pk)
    code = message.error_code if message.status == MessageStatus.CONFLICT else error.code  # it stays one
    noted = {"count": F("count") + 1, "last_at": timezone.now(), "error": refusal_as_json(error)}
    noted["subject"] = error.subject
    if held_unit_ids:  # those that it has held stay, whoever noted them
        noted["held_unit_ids"] = Func(
            F("held_unit_ids"),
            Value(list(held_unit_ids), ArrayField(BigIntegerField())),
            template="ARRAY(SELECT DISTINCT unnest(%(expressions)s) ORDER BY 1)",
            arg_joiner=" || ",
        )
    own = {}
    if isinstance(error, KeyConflict) and message.status == MessageStatus.FAILED:
        own["status"] = MessageStatus.CONFLICT.value
        own["dedupe_key"] = keys.own_key(message.dedupe_key, bytes(message.digest))
    try:
        with transaction.atomic():
            same.update(**noted, **own, error_code=code)
    except IntegrityError:  # the same content failed with this code before, and is open under another id
        same.update(**noted)


@transaction.atomic
def settle(message: FailedMessage, *, record_id: int, by: str) -> bool:
    """Move an open message, whose content turned out to be applied already, to history under its id.

    Returns whether it still was open: else whoever applied it settled it.
    """
    note = {"replayedBy": by}
    return move_to_history(message, status=MessageStatus.REPLAYED, record_id=record_id, note=note)


def move_to_history(message: FailedMessage, **settled: Any) -> bool:
    """Move an open message to history under its id, with what changes; return whether it still was open.

    In the caller's transaction.
    """
    deleted, _rows = FailedMessage.objects.filter(pk=message.pk).delete()
    if not deleted:
        return False
    kept = {field.attname: getattr(message, field.attname) for field in SettledMessage._meta.concrete_fields}
    SettledMessage.objects.bulk_create([SettledMessage(**kept | {"last_at": timezone.now(), **settled})])
    return True
