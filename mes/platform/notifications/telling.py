"""What is told by rules: whom it reaches, who is told now, who is told a number later, each person once on each way.

The handler of NOTICE works on many at once, in one transaction with their completion, so that a worker that dies leaves
nothing told by half. It locks the rules with quiet minutes first, in the order of their ids: of two workers, the second
sees what the first has told. In the application the constraint of `Notification` says “once”, on other ways the key of
the event by which a mail or a webhook is sent.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from mes.platform.notifications.audience import Audience, Receiver
from mes.platform.notifications.models import Notification, Severity
from mes.platform.notifications.rule_models import NoticeChannel, NoticeEvent, NoticeWindow, NotificationRule
from mes.platform.notifications.services import BATCH, Notice, announce_wanted
from mes.platform.outbox.emit import NewEvent, SetHandler, emit
from mes.platform.outbox.models import EventType, MesEvent
from mes.platform.outbox.schedules import ScheduledTask
from mes.platform.sweeps import Sweep

SENT_BY = {NoticeChannel.MAIL: EventType.NOTICE_MAIL, NoticeChannel.WEBHOOK: EventType.NOTICE_WEBHOOK}


@dataclass(frozen=True)
class Said:
    """Something that is told, as it is kept."""

    document: dict[str, Any]

    @property
    def key(self) -> str:
        """What names it."""
        return str(self.document["key"])

    @property
    def line_ids(self) -> frozenset[int]:
        """The lines it is about."""
        return frozenset(self.document["lineIds"])

    @property
    def line_id(self) -> int | None:
        """The one line it is about; None of several, and of none."""
        lines = self.document["lineIds"]
        return lines[0] if len(lines) == 1 else None

    @property
    def is_trial(self) -> bool:
        """Whether somebody tries a rule by it."""
        return "ruleId" in self.document

    def is_for(self, rule: NotificationRule) -> bool:
        """Whether a rule tells of it. A trial is of one rule, active or not."""
        if self.is_trial:
            return bool(rule.pk == self.document["ruleId"])
        if not rule.is_active or rule.event != self.document["event"]:
            return False
        return rule.concerns(self.line_ids, is_of_all_lines=self.document["isOfAllLines"])

    def channels(self, rule: NotificationRule) -> frozenset[str]:
        """Return on which ways it may go."""
        ways = frozenset(rule.channels)
        return ways & {NoticeChannel.APP.value} if self.document.get("isInAppOnly") else ways


Told = list[tuple[Said, Receiver]]


def tell(events: Sequence[MesEvent]) -> None:
    """Tell of NOTICE events, in their order: by the fewest statements for however many."""
    said = [Said(event.payload) for event in events]
    rules = _lock_rules(said)
    if not rules:
        return
    now = timezone.now()
    audience, quiet = Audience(rules), QuietTimes(rules, now)
    known = _find_told(said, audience)
    told: Told = []
    for each in said:
        for receiver, reaching in _reached(each, rules, audience).items():
            if (receiver, each.key) in known:
                continue
            if each.is_trial or quiet.lets(each, receiver, reaching):
                told.append((each, receiver))
    quiet.save()
    _write(told, now)


def _lock_rules(said: Iterable[Said]) -> list[NotificationRule]:
    """Return the rules that may tell; those with quiet minutes are locked, in the order of their ids."""
    tried = [each.document["ruleId"] for each in said if each.is_trial]
    events = {each.document["event"] for each in said}
    rows = NotificationRule.objects.filter(is_active=True, event__in=events) | NotificationRule.objects.filter(
        pk__in=tried
    )
    rules = list(rows.order_by("pk"))
    quiet = [rule.pk for rule in rules if rule.quiet_minutes]
    lock_rules(quiet)
    return rules


def lock_rules(ids: Sequence[int]) -> bool:
    """Let nobody else tell by these rules until the transaction ends; return whether all of them are active."""
    if not ids:
        return True
    rows = NotificationRule.objects.select_for_update(no_key=True).filter(pk__in=ids)
    return all(list(rows.order_by("pk").values_list("is_active", flat=True)))


def _reached(
    said: Said, rules: Sequence[NotificationRule], audience: Audience
) -> dict[Receiver, list[NotificationRule]]:
    """Return who is reached, each once, with the rules that do."""
    reached: dict[Receiver, list[NotificationRule]] = {}
    for rule in rules:
        if said.is_for(rule):
            ways = said.channels(rule)
            for receiver in audience.receivers(rule, said.line_ids):
                if receiver.channel in ways:
                    reached.setdefault(receiver, []).append(rule)
    return reached


def _find_told(said: Sequence[Said], audience: Audience) -> set[tuple[Receiver, str]]:
    """Return what people were told in the application already, without a rule: it counts in no quiet time."""
    rows = Notification.objects.filter(
        recipient__in=[person.pk for person in audience.people], key__in=[each.key for each in said]
    )
    return {(Receiver(NoticeChannel.APP, str(pk)), key) for pk, key in rows.values_list("recipient_id", "key")}


# --- quiet times ---------------------------------------------------------------------------------------------


class QuietTimes:
    """The quiet times of some rules, which are locked: who is let alone now, and what is counted meanwhile."""

    def __init__(self, rules: Sequence[NotificationRule], now: datetime) -> None:
        self.now = now
        quiet = [rule.pk for rule in rules if rule.quiet_minutes]
        found = list(NoticeWindow.objects.filter(rule__in=quiet)) if quiet else []
        ended = [window for window in found if window.ends_at <= now]
        end_windows(ended, now)
        gone = {window.pk for window in ended}
        self.running = {self._place(window): window for window in found if window.pk not in gone}
        self.changed: set[Any] = set()

    @staticmethod
    def _place(window: NoticeWindow) -> tuple[int, int | None, Receiver]:
        return window.rule_id, window.line_id, Receiver(window.channel, window.receiver)

    def lets(self, said: Said, receiver: Receiver, rules: Sequence[NotificationRule]) -> bool:
        """Return whether a receiver is told now, by any rule that is not quiet; else it is counted, once."""
        if not all(rule.quiet_minutes for rule in rules):
            return True
        places = [(rule.pk, said.line_id, receiver) for rule in rules]
        running = [place for place in places if place in self.running]
        if len(running) < len(places):
            for rule, place in zip(rules, places, strict=True):
                self._begin(rule, place)
            return True
        place = min(running, key=lambda each: self.running[each].ends_at)
        window = self.running[place]
        window.more, window.last = window.more + 1, said.document
        self.changed.add(place)
        return False

    def _begin(self, rule: NotificationRule, place: tuple[int, int | None, Receiver]) -> None:
        if place in self.running:
            return
        _rule_id, line_id, receiver = place
        self.running[place] = NoticeWindow(
            rule_id=rule.pk,
            line_id=line_id,
            channel=receiver.channel,
            receiver=receiver.name,
            begun_at=self.now,
            ends_at=self.now + timedelta(minutes=rule.quiet_minutes),
        )
        self.changed.add(place)

    def save(self) -> None:
        """Write what began and what was counted."""
        changed = [self.running[place] for place in self.changed]
        NoticeWindow.objects.bulk_create([window for window in changed if window.pk is None], batch_size=BATCH)
        counted = [window for window in changed if window.pk is not None and window.last is not None]
        NoticeWindow.objects.bulk_update(counted, ["more", "last"], batch_size=BATCH)


def end_quiet_times() -> int:
    """Tell how much was not told within the quiet times that have ended; return how many ended. By any number of
    workers at once, each is told once.
    """
    due = NoticeWindow.objects.filter(ends_at__lte=timezone.now()).order_by()
    ended = 0
    with Sweep("quiet times") as sweep:
        for rule_id in sorted(due.values_list("rule_id", flat=True).distinct()):
            with sweep.row(rule_id), transaction.atomic():
                is_active = lock_rules([rule_id])
                windows = list(NoticeWindow.objects.filter(rule=rule_id, ends_at__lte=timezone.now()).order_by("pk"))
                end_windows(windows if is_active else [], timezone.now())
                NoticeWindow.objects.filter(pk__in=[window.pk for window in windows]).delete()
                ended += len(windows)
    return ended


def end_windows(windows: Sequence[NoticeWindow], now: datetime) -> None:
    """End the quiet times of locked rules; whoever was not told of something in one, and is of
    the rule still, is told how much that is."""
    if not windows:
        return
    NoticeWindow.objects.filter(pk__in=[window.pk for window in windows]).delete()
    counted = [window for window in windows if window.more]
    if not counted:
        return
    rules = NotificationRule.objects.in_bulk({window.rule_id for window in counted})
    audience = Audience(list(rules.values()))
    told: Told = []
    for window in counted:
        said, receiver = _sum_up(window), Receiver(window.channel, window.receiver)
        if receiver in audience.receivers(rules[window.rule_id], said.line_ids):
            told.append((said, receiver))
    _write(told, now)


def _sum_up(window: NoticeWindow) -> Said:
    last = Said(window.last or {})
    values = {
        "event": NoticeEvent(last.document["event"]).label,
        "count": window.more,
        "since": timezone.localtime(window.begun_at).strftime("%H:%M"),
        "last": last.document["text"],
    }
    text = ngettext(
        "%(event)s: and %(count)d more since %(since)s: %(last)s",
        "%(event)s: and %(count)d more since %(since)s, the last: %(last)s",
        window.more,
    )
    document = {**last.document, "key": f"quiet:{window.pk}", "text": (text % values)[:500], "more": window.more}
    return Said(document)


TASK = ScheduledTask(
    "quiet times", gettext_lazy("Ends of quiet times of notifications"), end_quiet_times, cron="* * * * * */30"
)


# --- writing -------------------------------------------------------------------------------------------------


def _write(told: Told, now: datetime) -> None:
    """Write what is told in the application, and have the rest sent: an event for each receiver of each thing."""
    in_app = [(said, int(receiver.name)) for said, receiver in told if receiver.channel == NoticeChannel.APP]
    rows = [
        Notification(
            recipient_id=person,
            key=said.key,
            severity=said.document["severity"],
            text=said.document["text"],
            address=said.document["address"],
            line_id=said.line_id,
            created_at=now,
        )
        for said, person in in_app
    ]
    Notification.objects.bulk_create(rows, ignore_conflicts=True, batch_size=BATCH)
    emit(*(_to_send(said, receiver, now) for said, receiver in told if receiver.channel in SENT_BY))


def _to_send(said: Said, receiver: Receiver, now: datetime) -> NewEvent:
    """Return the event by which something is sent; its key names the thing and the receiver."""
    named = hashlib.sha256("\n".join((said.key, receiver.channel, receiver.name)).encode()).hexdigest()[:40]
    return NewEvent(
        event_type=SENT_BY[NoticeChannel(receiver.channel)],
        key=f"notice-{receiver.channel.lower()}:{named}",
        entity_type="NOTICE",
        entity_id=said.key[:100],
        occurred_at=now,
        payload={"id": named, "to": receiver.name, **said.document},
        max_attempts=settings.MES_NOTICE_ATTEMPTS,
    )


# --- a trial -------------------------------------------------------------------------------------------------


@transaction.atomic
def send_test(rule: NotificationRule, *, by: str) -> dict[str, int]:
    """Have everybody told whom a rule reaches, as a trial, quiet or not; return how many that are on each way."""
    now = timezone.now()
    notice = Notice(
        key=f"trial:{rule.pk}:{now.isoformat()}",
        severity=Severity.INFO,
        text=_("A trial of the rule “%(rule)s”, sent by %(by)s.") % {"rule": rule.name, "by": by},
        line_id=rule.line_id,
        event=NoticeEvent(rule.event),
        at=now,
    )
    announce_wanted([notice], ruleId=rule.pk)
    reached = Audience([rule]).receivers(rule, frozenset(notice.lines))
    counts = dict.fromkeys(rule.channels, 0)
    for receiver in reached:
        counts[receiver.channel] += 1
    return counts


HANDLER = SetHandler(
    tell,
    interest="e.payload->>'ruleId' IS NOT NULL OR EXISTS (SELECT FROM mes_notificationrule r "
    "WHERE r.is_active AND r.event = e.payload->>'event')",
)
