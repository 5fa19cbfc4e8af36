"""Electronic signatures over HTTP, for reading. They are made by the acts that ask for one."""

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import BaseRouter
from rest_framework.viewsets import GenericViewSet

from mes import errors
from mes.platform.database.lookup import get_or_raise
from mes.platform.http.viewsets import ExactFilter
from mes.platform.http.whole_numbers import id_or_raise
from mes.platform.signatures.models import Signature
from mes.platform.signatures.serializers import SignatureDetail, SignatureItem


@extend_schema_view(
    list=extend_schema(
        summary="List signatures, newest first",
        description="`recordType` and `recordId` give those of one record.",
    )
)
class SignatureViewSet(mixins.ListModelMixin, GenericViewSet):
    """Electronic signatures."""

    queryset = Signature.objects.defer("document")
    serializer_class = SignatureItem
    lookup_value_regex = "[^/]+"
    filter_backends = [ExactFilter]
    filters = {"recordType": "record_type", "recordId": "record_id"}

    @extend_schema(
        summary="Read a signature with the document that was signed",
        description="`intact`: the document is the one that `sha256` was made of. `unchanged`: the record still says "
        "what was signed.",
        responses=SignatureDetail,
    )
    def retrieve(self, request: Request, pk: str) -> Response:
        """Return one."""
        number = id_or_raise(pk, errors.SignatureNotFound)
        return Response(SignatureDetail(get_or_raise(Signature.objects, errors.SignatureNotFound, pk=str(number))).data)


def register(router: BaseRouter) -> None:
    """Add the address of signatures."""
    router.register("signatures", SignatureViewSet, basename="signature")
