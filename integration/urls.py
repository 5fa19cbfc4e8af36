"""Addresses of integration, below `/api/`."""

from rest_framework.routers import SimpleRouter

from integration.api import DeviceDataViewSet, MessageViewSet

router = SimpleRouter(trailing_slash=False)
router.register("integration/device-data", DeviceDataViewSet, "device-data")
router.register("integration/messages", MessageViewSet, "message")
urlpatterns = router.urls
