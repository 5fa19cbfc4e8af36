"""How files are told, in every answer that has some."""

from rest_framework import serializers

from mes.platform.files.models import LONGEST_NOTE, MediaType, StoredFile
from mes.platform.files.queries import address_of
from mes.platform.http.serializers import IdField, ObjectSerializer, OffsetDateTimeField, StrictSerializer


class FileAnswer(ObjectSerializer):
    """A file that is kept."""

    id = IdField()
    name = serializers.CharField()
    mediaType = serializers.ChoiceField(choices=MediaType.choices, help_text="Told by the content.")
    size = serializers.IntegerField(help_text="Bytes.")
    sha256 = serializers.CharField(help_text="Hash of the content, hexadecimal.")
    width = serializers.IntegerField(allow_null=True, help_text="Pixels of a picture.")
    height = serializers.IntegerField(allow_null=True)
    address = serializers.SerializerMethodField(help_text="Its page, for browsers.")
    uploadedBy = serializers.CharField()
    uploadedAt = OffsetDateTimeField()

    def get_address(self, file: StoredFile) -> str:
        """Where browsers show it."""
        return address_of(file.pk)


class AttachedFileAnswer(ObjectSerializer):
    """A file at a record."""

    id = IdField(help_text="Of the attachment: by it, the file is taken away again.")
    fileId = serializers.CharField()
    title = serializers.CharField(help_text="What was noted, else the name of the file.")
    address = serializers.CharField(help_text="Its page, for browsers.")
    mediaType = serializers.ChoiceField(choices=MediaType.choices)
    attachedBy = serializers.CharField()
    attachedAt = OffsetDateTimeField()
    addedLater = serializers.BooleanField(
        source="is_added_later", help_text="The record was signed before; what was signed says nothing of it."
    )


class AttachRequest(StrictSerializer):
    """What a file is attached to."""

    recordType = serializers.CharField(max_length=20, help_text="DEFECT, FAI_ITEM, OQC_ITEM or HOLD.")
    recordId = serializers.CharField(max_length=19, help_text="Its id; of a hold its number.")
    note = serializers.CharField(
        max_length=LONGEST_NOTE, required=False, allow_blank=True, allow_null=True, help_text="What it shows."
    )
