from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_save
from django.utils.translation import gettext_lazy as _


class CatalogConfig(AppConfig):
    name = "catalog"
    verbose_name = _("Catalog")

    def ready(self) -> None:
        """Whoever saves a resource or a product, its text goes into the index of the search with it."""
        from catalog.models import Product, Resource

        for model in (Resource, Product):
            post_save.connect(_index, sender=model, dispatch_uid=f"search.{model.__name__}")


def _index(instance: Any, raw: bool = False, **_signal: Any) -> None:
    from catalog import search

    if not raw:
        search.index(instance)
