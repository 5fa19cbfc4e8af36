"""Addresses of the pages."""

from django.urls import path

from integration import pages

urlpatterns = [
    path("integration/messages/", pages.messages_page, name="integration-messages"),
    path("integration/messages/decide/", pages.decide_all, name="integration-messages-decide"),
    path("integration/messages/mend/", pages.mend, name="integration-messages-mend"),
    path("integration/messages/<int:message_id>/dismiss/", pages.dismiss, name="integration-message-dismiss"),
    path("integration/messages/<int:message_id>/replay/", pages.replay, name="integration-message-replay"),
]
