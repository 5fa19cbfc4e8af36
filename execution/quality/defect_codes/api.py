"""Defect codes and their aliases over HTTP."""

from typing import Any

from django.db import models, transaction
from rest_framework import serializers
from rest_framework.routers import BaseRouter
from rest_framework.serializers import BaseSerializer

from execution.quality.defect_codes import services
from execution.quality.defect_codes.catalogue import Catalogue, load
from execution.quality.defect_codes.models import DefectAlias, DefectCategory, DefectCode, DefectSeverity
from mes import errors
from mes.platform.accounts.permissions import READS_SHARED
from mes.platform.accounts.roles import Capability
from mes.platform.database.references import check_unused
from mes.platform.http.master_data import FixedFieldsMixin, OptionalChoiceField, OptionalTextField, describe
from mes.platform.http.serializers import CodeRelatedField, IdField, StrictModelSerializer
from mes.platform.http.viewsets import CodeModelViewSet, IdModelViewSet
from mes.platform.validators import validate_line

EDITORS = {"*": (Capability.MASTER_DATA, Capability.QUALITY_RULES)}


def unknown_code(code: str) -> errors.DefectCodeNotFound:
    """Return the refusal of a code that is referred to and does not exist, with the nearest."""
    return errors.DefectCodeNotFound(code=code, nearest=load().list_nearest(code))


def known_codes(context: Any) -> Catalogue:
    """Return the codes for an answer, which reads them once: they are kept in the context of its serializers."""
    if "defect_codes" not in context:
        context["defect_codes"] = load()
    codes: Catalogue = context["defect_codes"]
    return codes


class CategoryField(OptionalChoiceField):
    """The category of a code: its own, else what it has from above."""

    def get_attribute(self, instance: Any) -> Any:
        """Return the category that counts; the codes are read once for an answer."""
        if instance.category:
            return instance.category
        return known_codes(self.context).category_of(instance.code)


class DefectCodeSerializer(FixedFieldsMixin, StrictModelSerializer):
    """A kind of defect."""

    id = IdField()
    parentCode = CodeRelatedField(
        source="parent",
        queryset=DefectCode.objects.all(),
        not_found=unknown_code,
        required=False,
        allow_null=True,
        help_text="At most four levels.",
    )
    category = CategoryField(choices=DefectCategory.choices, help_text="By default that of the parent.")
    severity = serializers.ChoiceField(choices=DefectSeverity.choices, required=False)
    isActive = serializers.BooleanField(required=False, help_text="Whether people may name it.")

    class Meta:
        model = DefectCode
        fields = ("id", "code", "name", "parentCode", "category", "severity", "isActive")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """A category that is the parent's is inherited, so that what was read may be sent back."""
        attrs = super().validate(attrs)
        parent: Any = attrs.get("parent", getattr(self.instance, "parent", None))
        has_own = parent is None or (self.instance is not None and bool(self.instance.category))
        if attrs.get("category") and not has_own and load().category_of(parent.code) == attrs["category"]:
            attrs["category"] = ""
        return attrs


@describe(
    "defect code",
    "defect codes",
    example={"code": "BRIDGE_PINS", "name": "Bridge between pins", "parentCode": "BRIDGE"},
    change={"isActive": False},
    note="A tree of at most four levels. Without a category of its own a code has its parent's.",
)
class DefectCodeViewSet(CodeModelViewSet):
    """What people may name, and what machines' words mean."""

    queryset = DefectCode.objects.select_related("parent")
    serializer_class = DefectCodeSerializer
    not_found = errors.DefectCodeUnknown
    capabilities = EDITORS
    station_access = READS_SHARED
    filters = {"parentCode": "parent__code", "severity": "severity", "isActive": "is_active"}
    search_fields = ("code", "name")

    def perform_create(self, serializer: BaseSerializer) -> None:
        """Save it where it may stand in the tree."""
        with transaction.atomic():
            services.check_place(None, serializer.validated_data.get("parent"))
            super().perform_create(serializer)

    def perform_update(self, serializer: BaseSerializer) -> None:
        """Save it where it may stand in the tree."""
        with transaction.atomic():
            if "parent" in serializer.validated_data:
                services.check_place(serializer.instance.code, serializer.validated_data["parent"])  # type: ignore[union-attr]
            super().perform_update(serializer)

    def perform_destroy(self, instance: models.Model) -> None:
        """Delete it, unless something still uses it."""
        with transaction.atomic():
            services.lock_catalogue()
            check_unused(instance)
            super().perform_destroy(instance)


class DefectAliasSerializer(FixedFieldsMixin, StrictModelSerializer):
    """What a source system calls a defect code."""

    fixed = ("sourceSystem", "reported")

    id = IdField()
    sourceSystem = OptionalTextField(
        max_length=100, trim_whitespace=False, validators=[validate_line], help_text="By default any."
    )
    reported = serializers.CharField(max_length=100, trim_whitespace=False, validators=[validate_line])
    code = CodeRelatedField(queryset=DefectCode.objects.all(), not_found=unknown_code)

    class Meta:
        model = DefectAlias
        fields = ("id", "sourceSystem", "reported", "code")


@describe(
    "alias of a defect code",
    "aliases of defect codes",
    example={"sourceSystem": "aoi-line-1", "reported": "ISFSLD112", "code": "INSUFFICIENT"},
    change={"code": "OPEN"},
    note="Defects that were reported so get the code, settled ones too. A source's own alias goes before one of any.",
)
class DefectAliasViewSet(IdModelViewSet):
    """How machines' words are read."""

    queryset = DefectAlias.objects.select_related("code")
    serializer_class = DefectAliasSerializer
    not_found = errors.DefectAliasNotFound
    capabilities = EDITORS
    station_access = READS_SHARED
    filters = {"sourceSystem": "source_system", "reported": "reported", "code": "code__code"}
    search_fields = ("reported", "code__code")

    def perform_create(self, serializer: BaseSerializer) -> None:
        """Save it, and relabel."""
        with transaction.atomic():
            super().perform_create(serializer)
            services.relabel_soon(serializer.instance)  # type: ignore[arg-type]

    def perform_update(self, serializer: BaseSerializer) -> None:
        """Save it, and relabel."""
        with transaction.atomic():
            super().perform_update(serializer)
            services.relabel_soon(serializer.instance)  # type: ignore[arg-type]

    def perform_destroy(self, instance: models.Model) -> None:
        """Delete it, unless defects were reported so."""
        with transaction.atomic():
            services.lock_catalogue()
            check_unused(instance)
            super().perform_destroy(instance)


def register(router: BaseRouter) -> None:
    """Add the addresses of the codes."""
    router.register("defect-codes", DefectCodeViewSet, basename="defect-code")
    router.register("defect-aliases", DefectAliasViewSet, basename="defect-alias")
