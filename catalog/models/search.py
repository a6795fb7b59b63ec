"""The index of the catalog's search; `catalog.search` keeps and reads it."""

from django.db import models

from catalog.models.products import Product
from catalog.models.resources import Resource


class Entry(models.Model):
    """A resource or a product in the index. Whether it is public is asked of the thing itself, at every search.

    Its number is small on purpose: it stands once for every gram.
    """

    id = models.BigAutoField(primary_key=True)
    resource = models.OneToOneField(Resource, on_delete=models.CASCADE, null=True, related_name="entry")
    product = models.OneToOneField(Product, on_delete=models.CASCADE, null=True, related_name="entry")
    digest = models.CharField(max_length=64)  # of the text that was indexed: another is indexed again

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(resource=None) ^ models.Q(product=None), name="entry_of_one")
        ]

    def __str__(self) -> str:
        return str(self.resource_id or self.product_id)


class Gram(models.Model):
    """That a pair of characters or a word stands in the text of an entry."""

    pk = models.CompositePrimaryKey("gram", "entry_id")
    gram = models.CharField(max_length=24)
    entry = models.ForeignKey(Entry, on_delete=models.CASCADE, related_name="grams")

    def __str__(self) -> str:
        return self.gram
