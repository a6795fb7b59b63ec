"""Every URL of the exchange, on one page."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.i18n import set_language
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from exchange.api.tokens import TokenView
from exchange.portal import applying, hall, party
from exchange.portal.persons import second_factor_page
from exchange.portal.views import front, health

urlpatterns = [
    path("", front, name="front"),
    path("notices/", hall.notices, name="notices"),
    path("notices/<uuid:pk>/", hall.notice, name="notice"),
    path("registrations/<str:code>/", hall.certificate, name="certificate"),
    re_path(
        r"^registrations/(?P<code>[^/]+)/certificate\.(?P<part>jws|tlog-proof)$",
        hall.certificate_part,
        name="certificate-part",
    ),
    path("language", set_language, name="set_language"),
    path("apply/", applying.apply, name="apply"),
    path("apply/again/", applying.again, name="apply-again"),
    path("confirm/<str:token>/", applying.confirm, name="confirm"),
    path("application/", applying.application, name="application"),
    path("parties/", party.parties, name="parties"),
    path("parties/applications/<uuid:pk>/", party.own_application, name="own-application"),
    path("documents/<uuid:pk>/", party.document, name="document"),
    path("second-factor/", second_factor_page, name="second-factor"),
    path("health", health, name="health"),
    path("admin/", admin.site.urls),
    path("oauth/token", TokenView.as_view(), name="token"),
    path("v1/", include("settlement.urls")),
    path("v1/", include("catalog.urls")),
    path("openapi.json", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="api-docs"),
    path("", include("exchange.audit.urls")),
]
handler404 = "exchange.api.problems.not_found"
handler500 = "exchange.api.problems.internal"
