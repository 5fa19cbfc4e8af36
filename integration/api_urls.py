"""Addresses of integration, below `/api/`."""

from rest_framework.routers import SimpleRouter

from integration.api import DeviceDataViewSet, MessageViewSet
from integration.outbound import api as outbound
from integration.status import api

router = SimpleRouter(trailing_slash=False)
router.register("integration/device-data", DeviceDataViewSet, "device-data")
router.register("integration/messages", MessageViewSet, "message")
api.register(router)
outbound.register(router)
urlpatterns = router.urls
