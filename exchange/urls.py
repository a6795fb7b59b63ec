"""Every URL of the exchange, on one page."""

from django.contrib import admin
from django.contrib.sitemaps import views as sitemaps
from django.urls import include, path, re_path
from django.views.i18n import set_language
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from exchange.api.tokens import TokenView
from exchange.portal import applying, dcat, demands, directory, hall, party, sitemap, zones
from exchange.portal.persons import second_factor_page
from exchange.portal.views import front, health

urlpatterns = [
    path("", front, name="front"),
    path("catalog/", directory.catalog, name="catalog"),
    path("catalog.json", directory.catalog_json, name="catalog-json"),
    path("catalog/resources/<str:code>/", directory.resource, name="catalog-resource"),
    path("catalog/products/<str:code>/", directory.product, name="catalog-product"),
    path("authorizations/", zones.authorizations, name="authorizations"),
    path("authorizations/<str:code>/", zones.authorization, name="authorization"),
    path("zones/", zones.zones, name="zones"),
    path("zones/<str:code>/", zones.zone, name="zone"),
    path("demands/", demands.board, name="demands"),
    path("demands/<uuid:pk>/", demands.demand, name="demand"),
    path("dcat", dcat.negotiated, name="dcat"),
    re_path(r"^dcat\.(?P<form>jsonld|ttl)$", dcat.document, name="dcat-document"),
    path(
        "sitemap.xml",
        sitemaps.index,
        {"sitemaps": sitemap.SITEMAPS, "sitemap_url_name": "sitemap-part"},
        name="sitemap",
    ),
    path("sitemap-<str:section>.xml", sitemaps.sitemap, {"sitemaps": sitemap.SITEMAPS}, name="sitemap-part"),
    path("robots.txt", sitemap.robots, name="robots"),
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
