from django.urls import path

from catalog.views import OneProduct, Products

urlpatterns = [
    path("products", Products.as_view(), name="products"),
    path("products/<slug:code>", OneProduct.as_view(), name="product"),
]
