"""Saved views of lists over HTTP."""

from urllib.parse import urlencode

from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import mixins, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import BaseRouter
from rest_framework.viewsets import GenericViewSet

from mes import errors
from mes.platform.accounts.roles import Capability
from mes.platform.http.serializers import IdField, OffsetDateTimeField, RowSerializer, StrictSerializer, read
from mes.platform.http.viewsets import ExactFilter
from mes.platform.http.whole_numbers import id_or_raise
from mes.platform.lists import views
from mes.platform.lists.models import LONGEST_QUERY, SavedView

_QUERY = "The arguments of the list's address, without the page: `status=ON_HOLD&sort=sn`."


class ViewRequest(StrictSerializer):
    """A view to be kept."""

    list = serializers.CharField(max_length=40, help_text="The list's name, as in `/lists/units/`.")
    name = serializers.CharField(max_length=views.LONGEST_NAME)
    query = serializers.CharField(max_length=LONGEST_QUERY, allow_blank=True, help_text=_QUERY)
    shared = serializers.BooleanField(required=False)
    isDefault = serializers.BooleanField(required=False, help_text="The list begins with it, for its owner.")


class ViewChange(StrictSerializer):
    """What of a view is changed."""

    name = serializers.CharField(max_length=views.LONGEST_NAME, required=False)
    query = serializers.CharField(max_length=LONGEST_QUERY, allow_blank=True, required=False, help_text=_QUERY)
    shared = serializers.BooleanField(required=False)
    isDefault = serializers.BooleanField(required=False)


class ViewItem(RowSerializer):
    """A saved view."""

    id = IdField()
    owner = serializers.CharField(source="owner.username")
    isDefault = serializers.BooleanField()
    address = serializers.SerializerMethodField(help_text="The page that shows it.")
    createdAt = OffsetDateTimeField()
    updatedAt = OffsetDateTimeField()

    class Meta:
        model = SavedView
        fields = ["id", "list", "name", "query", "shared", "isDefault", "owner", "address", "createdAt", "updatedAt"]

    def get_address(self, view: SavedView) -> str:
        """The page that shows the view."""
        return address_of(view)


def address_of(view: SavedView) -> str:
    """Return the page that shows a view."""
    chosen = urlencode({"view": view.pk})
    return f"{reverse('list', args=[view.list])}?{view.query}{'&' if view.query else ''}{chosen}"


_EVERYBODY = tuple(Capability)  # whoever has a role; whose a view is, its service asks


@extend_schema_view(
    list=extend_schema(summary="List saved views", description="One's own and those that others share."),
    retrieve=extend_schema(summary="Read a saved view"),
)
class SavedViewViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet):
    """Views of lists that people keep."""

    queryset = SavedView.objects.select_related("owner")
    serializer_class = ViewItem
    lookup_value_regex = "[^/]+"
    filter_backends = [ExactFilter]
    filters = {"list": "list", "shared": "shared"}
    http_method_names = ["get", "post", "patch", "delete", "head", "options"]
    capabilities = {"create": _EVERYBODY, "partial_update": _EVERYBODY, "destroy": _EVERYBODY}

    def get_queryset(self) -> QuerySet[SavedView]:
        """Views that the sender may see."""
        return views.visible_to(self.request.user)

    def get_object(self) -> SavedView:
        """Return the view that the address names."""
        return views.get(id_or_raise(self.kwargs["pk"], errors.SavedViewNotFound), self.request.user)

    @extend_schema(
        summary="Keep a view of a list",
        description="Under a name that its owner has not used for the list. A person keeps up to "
        f"{views.MOST_VIEWS} views; a token keeps none.",
        request=ViewRequest,
        responses={201: ViewItem},
        examples=[
            OpenApiExample(
                "Units on hold",
                value={"list": "units", "name": "On hold", "query": "status=ON_HOLD", "shared": True},
                request_only=True,
            )
        ],
    )
    def create(self, request: Request) -> Response:
        """Keep it."""
        body = read(ViewRequest, request)
        view = views.create(
            request.user,
            list_name=body["list"],
            name=body["name"],
            query=body["query"],
            shared=body.get("shared", False),
            is_default=body.get("is_default", False),
        )
        return Response(ViewItem(view).data, status=201)

    @extend_schema(
        summary="Change a saved view",
        description="Its owner and administrators may.",
        request=ViewChange,
        responses=ViewItem,
        examples=[OpenApiExample("For everybody", value={"shared": True}, request_only=True)],
    )
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change what is sent."""
        wanted = read(ViewChange, request)
        changed = views.change(self.get_object(), request.user, wanted)
        return Response(ViewItem(views.get(changed.pk, request.user)).data)

    @extend_schema(summary="Delete a saved view", description="Its owner and administrators may.")
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete it."""
        views.delete(self.get_object(), request.user)
        return Response(None)


def register(router: BaseRouter) -> None:
    """Add the addresses of saved views."""
    router.register("saved-views", SavedViewViewSet, "saved-view")
