"""How a signature is given and shown, in every body that has one."""

from typing import Any

from rest_framework import serializers

from mes.platform.http.serializers import IdField, OffsetDateTimeField, RowSerializer, StrictSerializer
from mes.platform.signatures.models import Signature
from mes.platform.signatures.queries import is_unchanged
from mes.platform.validators import validate_line

LONGEST_PASSWORD = 4096
EXAMPLE: dict[str, Any] = {"username": "quinn", "password": "…", "meaning": "Approved"}


class SignatureRequest(StrictSerializer):
    """Who signs, by name and password, and what they mean by it. The password is checked and not kept."""

    username = serializers.CharField(max_length=150)
    password = serializers.CharField(
        max_length=LONGEST_PASSWORD, trim_whitespace=False, write_only=True, style={"input_type": "password"}
    )
    meaning = serializers.CharField(
        max_length=200, validators=[validate_line], help_text="Such as approval, review, responsibility."
    )


class SignatureBrief(RowSerializer):
    """Who signed something, and what they meant by it."""

    id = IdField()
    printedName = serializers.CharField(help_text="The name of the person as it was then.")
    signedAt = OffsetDateTimeField()

    class Meta:
        model = Signature
        fields: tuple[str, ...] = ("id", "signer", "printedName", "meaning", "signedAt")


class SignatureItem(SignatureBrief):
    """A signature, and what it is of."""

    recordType = serializers.CharField()
    recordId = serializers.CharField()

    class Meta(SignatureBrief.Meta):
        fields: tuple[str, ...] = (
            "id",
            "recordType",
            "recordId",
            "signer",
            "printedName",
            "meaning",
            "signedAt",
            "sha256",
        )


class SignatureDetail(SignatureItem):
    """A signature with the document that was signed."""

    document = serializers.CharField(help_text="The record as it was signed: the very text of which `sha256` is.")
    intact = serializers.BooleanField(source="is_intact", help_text="Whether `sha256` is that of `document`.")
    unchanged = serializers.SerializerMethodField()

    class Meta(SignatureItem.Meta):
        fields = (*SignatureItem.Meta.fields, "document", "intact", "unchanged")

    def get_unchanged(self, signature: Signature) -> bool:
        """Whether the record still says what was signed."""
        return is_unchanged(signature)
