"""Qualifications of people over HTTP."""

from typing import Any

from django.contrib.auth.models import User
from rest_framework import serializers
from rest_framework.routers import BaseRouter

from mes import errors
from mes.plant.models import Operation
from mes.platform.accounts.permissions import operator_name
from mes.platform.accounts.roles import Capability
from mes.platform.http.master_data import FixedFieldsMixin, OptionalTextField, describe
from mes.platform.http.serializers import CodeRelatedField, IdField, OffsetDateTimeField, StrictModelSerializer
from mes.platform.http.viewsets import IdModelViewSet
from mes.platform.validators import validate_line, validate_year
from mes.qualifications.models import Qualification


class QualificationSerializer(FixedFieldsMixin, StrictModelSerializer):
    """A person may do an operation. Who, and which, never changes: another pair is another qualification."""

    fixed = ("person", "operationCode")

    id = IdField()
    person = CodeRelatedField("username", queryset=User.objects.all(), not_found=errors.PersonNotFound)
    operationCode = CodeRelatedField(
        source="operation", queryset=Operation.objects.all(), not_found=errors.OperationNotFound
    )
    until = serializers.DateField(
        required=False,
        allow_null=True,
        validators=[validate_year],
        help_text="The last day, by the plant's calendar; null: for good.",
    )
    note = OptionalTextField(max_length=500, validators=[validate_line])
    givenBy = serializers.CharField(read_only=True)
    givenAt = OffsetDateTimeField(read_only=True)

    class Meta:
        model = Qualification
        fields = ("id", "person", "operationCode", "until", "note", "givenBy", "givenAt")


@describe(
    "qualification",
    "qualifications",
    example={"person": "olga", "operationCode": "TEST", "until": "2027-06-30", "note": "Instructed by Q. Weber"},
    change={"until": "2028-06-30"},
    note="Steps whose execution config says `requiresQualification` are entered by hand only by somebody who has one "
    "for their operation that is not over.",
)
class QualificationViewSet(IdModelViewSet):
    """Who is qualified for which operation."""

    queryset = Qualification.objects.select_related("person", "operation")
    serializer_class = QualificationSerializer
    not_found = errors.QualificationNotFound
    capabilities = {"*": (Capability.QUALIFY,)}
    filters = {"person": "person__username", "operationCode": "operation__code"}

    def perform_create(self, serializer: Any) -> None:
        """Keep who gave it."""
        serializer.validated_data["given_by"] = operator_name(self.request)
        super().perform_create(serializer)


def register(router: BaseRouter) -> None:
    """Add the address of qualifications."""
    router.register("qualifications", QualificationViewSet, basename="qualification")
