"""Whom rules reach, and how: people with their lines and addresses of mail, and webhooks. Each once."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Q

from mes.platform.accounts.roles import Role
from mes.platform.notifications.models import FollowedLine
from mes.platform.notifications.rule_models import NoticeChannel, NotificationRule


@dataclass(frozen=True)
class Receiver:
    """Somebody who is told on one way: by `name`, the id of a person, an address of mail or one of a webhook."""

    channel: str
    name: str


@dataclass
class Person:
    """Somebody who may be told."""

    pk: int
    email: str
    roles: set[str] = field(default_factory=set)
    lines: set[int] = field(default_factory=set)

    def hears(self, rule: NotificationRule, named: frozenset[int], line_ids: frozenset[int]) -> bool:
        """Whether a rule reaches this person: who is named hears of all, others of the lines that they follow."""
        return self.pk in named or self.is_concerned(rule.roles, line_ids)

    def is_concerned(self, roles: Collection[str], line_ids: frozenset[int]) -> bool:
        """Whether something for these roles about these lines is for this person, by the lines that they follow."""
        if self.roles.isdisjoint(roles):
            return False
        return not self.lines or not line_ids or not self.lines.isdisjoint(line_ids)


class Audience:
    """The people whom some rules may reach: four statements, however many rules and people."""

    def __init__(self, rules: Sequence[NotificationRule]) -> None:
        through: Any = NotificationRule.persons.through
        named = through.objects.filter(notificationrule__in=[rule.pk for rule in rules]).values_list()
        self.named: dict[int, set[int]] = {}
        for _pk, rule_id, user_id in named:
            self.named.setdefault(rule_id, set()).add(user_id)
        self.people = list_people({role for rule in rules for role in rule.roles}, self.named.values())

    def receivers(self, rule: NotificationRule, line_ids: frozenset[int]) -> Iterable[Receiver]:
        """Yield whom a rule reaches with something about these lines."""
        named = frozenset(self.named.get(rule.pk, ()))
        people = [person for person in self.people if person.hears(rule, named, line_ids)]
        if NoticeChannel.APP in rule.channels:
            yield from (Receiver(NoticeChannel.APP, str(person.pk)) for person in people)
        if NoticeChannel.MAIL in rule.channels:
            addresses = {person.email.strip().lower() for person in people} - {""}
            yield from (Receiver(NoticeChannel.MAIL, address) for address in sorted(addresses))
        if NoticeChannel.WEBHOOK in rule.channels:
            yield Receiver(NoticeChannel.WEBHOOK, rule.webhook_url)


def list_people(roles: Collection[str], named: Iterable[set[int]] = ()) -> list[Person]:
    """Return the active people who have one of the roles, or are named, with the lines they follow; two statements.
    Superusers are administrators.
    """
    role_of_group = {Role(role).group_name: role for role in sorted(roles) if role in Role.values}
    concerned = Q(groups__name__in=role_of_group) | Q(pk__in=set[int]().union(*named))
    if Role.ADMIN in roles:
        concerned |= Q(is_superuser=True)
    rows = User.objects.filter(concerned, is_active=True).order_by("pk")
    people: dict[int, Person] = {}
    for pk, email, group, is_superuser in rows.values_list("pk", "email", "groups__name", "is_superuser"):
        person = people.setdefault(pk, Person(pk, email))
        if group in role_of_group:
            person.roles.add(role_of_group[group])
        if is_superuser:
            person.roles.add(Role.ADMIN)
    for pk, line_id in FollowedLine.objects.filter(user__in=people).values_list("user_id", "line_id"):
        people[pk].lines.add(line_id)
    return list(people.values())
