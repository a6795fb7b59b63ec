from django.urls import path

from exchange.audit import views

urlpatterns = [
    path("log/checkpoint", views.checkpoint, name="log-checkpoint"),
    path("log/tile/<path:path>", views.tile, name="log-tile"),
    path("log.vkey", views.vkey, name="log-vkey"),
    path(".well-known/jwks.json", views.jwks, name="jwks"),
]
