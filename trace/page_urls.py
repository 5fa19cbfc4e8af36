"""Addresses of the pages."""

from django.urls import path

from trace import pages

urlpatterns = [
    path("", pages.home, name="home"),
    path("sign-in/", pages.SignIn.as_view(), name="sign-in"),
    path("sign-out/", pages.SignOut.as_view(), name="sign-out"),
    path("trace/", pages.search, name="trace"),
    path("trace/carriers/<str:carrier_no>/", pages.carrier, name="carrier"),
    path("trace/runs/<str:run_no>/", pages.run, name="run"),
    path("trace/units/<str:sn>/", pages.unit, name="unit"),
    path("trace/units/<str:sn>/<str:action>/", pages.decide, name="unit-decision"),
]
