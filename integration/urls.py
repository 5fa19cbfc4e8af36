"""Addresses of integration, below `/api/`."""

from rest_framework.routers import SimpleRouter

from integration import status_api
from integration.api import DeviceDataViewSet, MessageViewSet
from integration.outbound import api as outbound

router = SimpleRouter(trailing_slash=False)
router.register("integration/device-data", DeviceDataViewSet, "device-data")
router.register("integration/messages", MessageViewSet, "message")
status_api.register(router)
outbound.register(router)
urlpatterns = router.urls
