"""What holds of notification rules beside their own columns, by interface and form alike."""

from django.utils.translation import gettext as _

from mes.platform.notifications import mail, webhooks
from mes.platform.notifications.rule_models import NoticeChannel, NotificationRule


def find_problems(rule: NotificationRule, *, has_persons: bool) -> dict[str, str]:
    """Return what keeps a rule from telling anybody, by column: nobody is named, or a way is not set up."""
    channels = rule.channels or []
    problems: dict[str, str] = {}
    if {NoticeChannel.APP, NoticeChannel.MAIL} & set(channels) and not (rule.roles or has_persons):
        problems["roles"] = _("Name roles or persons who are told.")
    if NoticeChannel.MAIL in channels and not mail.is_set_up():
        problems["channels"] = _("There is no mail server: an administrator sets EMAIL_URL.")
    elif NoticeChannel.WEBHOOK in channels and not webhooks.is_set_up():
        problems["channels"] = _("There is no secret to sign with: an administrator sets MES_WEBHOOK_SECRET.")
    return problems


def has_persons(rule: NotificationRule) -> bool:
    """Whether a rule names people."""
    return rule.pk is not None and rule.persons.exists()


def names_of(rule: NotificationRule) -> list[str]:
    """Return the names of the people whom a rule names; of a row whose people were loaded, without a query."""
    return sorted(person.username for person in rule.persons.all())
