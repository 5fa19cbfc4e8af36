"""Addresses of integration, below `/api/`."""

from integration.api import DeviceDataViewSet, MessageViewSet
from integration.outbound import api as outbound
from integration.status import api
from mes.platform.http.addresses import NameRouter

router = NameRouter()
router.register("integration/device-data", DeviceDataViewSet, "device-data")
router.register("integration/messages", MessageViewSet, "message")
api.register(router)
outbound.register(router)
urlpatterns = router.urls
