"""Notification rules over HTTP, and a trial of one."""

from typing import Any

from django.contrib.auth.models import User
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import BaseRouter

from mes import errors
from mes.platform.accounts.permissions import operator_name
from mes.platform.accounts.roles import Capability, Role, role_capabilities
from mes.platform.http.master_data import OptionalTextField, describe
from mes.platform.http.serializers import CodeRelatedField, IdField, OffsetDateTimeField, StrictModelSerializer
from mes.platform.http.viewsets import IdModelViewSet
from mes.platform.notifications import rules, telling
from mes.platform.notifications.receiver_addresses import LONGEST_ADDRESS
from mes.platform.notifications.rule_models import LONGEST_QUIET, NoticeChannel, NoticeEvent, NotificationRule
from mes.platform.notifications.services import list_lines
from mes.platform.outbox.shown import without_path

MOST_PERSONS = 200


class WebhookField(OptionalTextField):
    """The address of a webhook, of which only those who keep rules see more than the server: it may have a secret."""

    def to_representation(self, value: Any) -> Any:
        """Return as much as may be seen."""
        request = self.context.get("request")
        if value and request is not None and Capability.NOTIFICATIONS not in role_capabilities(request.user):
            return without_path(str(value))
        return super().to_representation(value)


class PersonsField(serializers.ListField):
    """People by the names of their accounts."""

    def get_attribute(self, instance: Any) -> list[str]:
        """Return the names."""
        return rules.names_of(instance)


class NotificationRuleSerializer(StrictModelSerializer):
    """Who is told of an event, and how."""

    id = IdField()
    name = serializers.CharField(max_length=200)
    event = serializers.ChoiceField(choices=NoticeEvent.choices)
    lineCode = CodeRelatedField(
        source="line",
        queryset=list_lines(),
        not_found=errors.LineNotFound,
        required=False,
        allow_null=True,
        help_text="Only what is about this line. OUTBOX_DEAD and SYSTEM_TROUBLE are of no line.",
    )
    roles = serializers.ListField(
        child=serializers.ChoiceField(choices=Role.choices),
        required=False,
        max_length=len(Role),
        help_text="Of these, each hears of the lines that they follow; who follows none, of all.",
    )
    persons = PersonsField(
        child=serializers.CharField(max_length=150),
        required=False,
        max_length=MOST_PERSONS,
        help_text="Names of accounts. They hear of every line of the rule.",
    )
    channels = serializers.ListField(
        child=serializers.ChoiceField(choices=NoticeChannel.choices), max_length=len(NoticeChannel)
    )
    webhookUrl = WebhookField(
        max_length=LONGEST_ADDRESS, help_text="Needed for WEBHOOK. Those who do not keep rules see its server only."
    )
    quietMinutes = serializers.IntegerField(
        min_value=0,
        max_value=LONGEST_QUIET,
        required=False,
        help_text="For so long after something was told, more of the same line is counted, and told as a number.",
    )
    isActive = serializers.BooleanField(required=False)
    createdAt = OffsetDateTimeField(read_only=True)

    class Meta:
        model = NotificationRule
        fields = (
            "id",
            "name",
            "event",
            "lineCode",
            "roles",
            "persons",
            "channels",
            "webhookUrl",
            "quietMinutes",
            "isActive",
            "createdAt",
        )

    def validate_persons(self, names: list[str]) -> list[User]:
        """Return the active accounts of these names."""
        found = {user.username: user for user in User.objects.filter(username__in=names, is_active=True)}
        if unknown := [name for name in names if name not in found]:
            raise serializers.ValidationError(
                _("There is no active account of the name %(names)s.") % {"names": ", ".join(unknown)}
            )
        return list(found.values())

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Want somebody who is told, and a way that is set up."""
        plain = {name: value for name, value in attrs.items() if name != "persons"}
        candidate = self._candidate(plain)
        assert isinstance(candidate, NotificationRule)
        persons = attrs.get("persons")
        has_persons = bool(persons) if persons is not None else rules.has_persons(candidate)
        if problems := rules.find_problems(candidate, has_persons=has_persons):
            raise serializers.ValidationError({name: [text] for name, text in problems.items()})
        super().validate(plain)
        candidate.clean()
        return attrs | {name: getattr(candidate, name) for name in ("roles", "channels") if name in attrs}


class TrialAnswer(serializers.Serializer):
    """How many receivers a trial has on each way."""

    APP = serializers.IntegerField(required=False, help_text="People in the application.")
    MAIL = serializers.IntegerField(required=False, help_text="Addresses of mail.")
    WEBHOOK = serializers.IntegerField(required=False)


@describe(
    "notification rule",
    "notification rules",
    example={
        "name": "Holds on line 1",
        "event": NoticeEvent.HOLD_OPENED,
        "lineCode": "LINE-1",
        "roles": [Role.QUALITY],
        "persons": ["sue"],
        "channels": [NoticeChannel.APP, NoticeChannel.MAIL],
        "quietMinutes": 15,
    },
    change={"quietMinutes": 30},
    note="Whom several rules reach with the same event is told once on each way. MAIL needs a mail server (EMAIL_URL), "
    "WEBHOOK a secret (MES_WEBHOOK_SECRET).",
)
class NotificationRuleViewSet(IdModelViewSet):
    """Who is told of what happens, and how: in the application, by mail, by webhook."""

    queryset = NotificationRule.objects.select_related("line").prefetch_related("persons")
    serializer_class = NotificationRuleSerializer
    not_found = errors.NotificationRuleNotFound
    capabilities = {"*": (Capability.NOTIFICATIONS,)}
    filters = {"event": "event", "lineCode": "line__code", "isActive": "is_active"}
    search_fields = ("name",)

    @extend_schema(
        summary="Try a notification rule",
        description="Everybody whom it reaches is told that it is a trial, on all its ways, active or not and whatever "
        "is quiet. The answer counts them; what is sent is among the events of the outbox.",
        request=None,
        responses={202: TrialAnswer},
    )
    @action(detail=True, methods=["post"])
    def test(self, request: Request, id: str) -> Response:
        """Send a trial."""
        return Response(telling.send_test(self.get_object(), by=operator_name(request)), status=202)


def register(router: BaseRouter) -> None:
    """Add the address of the rules."""
    router.register("notification-rules", NotificationRuleViewSet, "notification-rule")
