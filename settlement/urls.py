from django.urls import path

from settlement.views import OneQuery, Prices, Queries

urlpatterns = [
    path("prices", Prices.as_view(), name="prices"),
    path("queries", Queries.as_view(), name="queries"),
    path("queries/<uuid:pk>", OneQuery.as_view(), name="query"),
    path("queries/<uuid:pk>/release", OneQuery.as_view(part="release"), name="query-release"),
    path("queries/<uuid:pk>/receipt", OneQuery.as_view(part="receipt"), name="query-receipt"),
    path("queries/<uuid:pk>/proof", OneQuery.as_view(part="proof"), name="query-proof"),
]
