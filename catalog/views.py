"""What can be asked: listed products with their columns, for buyers' programs."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView, RetrieveAPIView

from catalog.models import Product
from exchange.sandbox import budget


class ProductBody(serializers.ModelSerializer[Product]):
    """A listed product; `columns` with role, kind, public domain or bounds."""

    resource = serializers.SlugRelatedField("code", read_only=True)
    authorization = serializers.SlugRelatedField("code", read_only=True)
    merchant = serializers.SlugRelatedField("name_zh", read_only=True)
    snapshot = serializers.SerializerMethodField()
    columns = serializers.SerializerMethodField()
    keys = serializers.SerializerMethodField()
    privacy = serializers.SerializerMethodField()

    class Meta:
        model = Product
        fields = (
            "code", "version", "name_zh", "name_en", "kind", "use", "profile", "threshold", "merchant", "resource",
            "authorization", "snapshot", "columns", "keys", "privacy",
        )  # fmt: skip

    def get_snapshot(self, product: Product) -> str:
        return product.resource.snapshot.code if product.resource.snapshot else ""

    def get_columns(self, product: Product) -> list[dict[str, Any]]:
        snapshot = product.resource.snapshot
        columns = snapshot.manifest["schema"]["columns"] if snapshot else []
        return [column for column in columns if column["name"] in product.columns]

    def get_keys(self, product: Product) -> list[str]:
        """The columns of which each value is in one row only: by these an open product may be joined to others, and
        another by its entity."""
        manifest = product.resource.snapshot.manifest if product.resource.snapshot else {}
        unique = manifest.get("unique", [])
        if manifest.get("one_row"):
            unique = [column["name"] for column in manifest["schema"]["columns"] if column["role"] == "entity"]
        return [name for name in unique if name in product.columns]

    def get_privacy(self, product: Product) -> dict[str, Any] | None:
        """Of a private product: how many rows of an entity a query reads, and what it costs."""
        if not (product.rho and product.resource.snapshot):
            return None
        delta = product.resource.snapshot.policy["delta"]
        return {"rows": product.rows, "cost": budget.shown(product.rho, delta), "per": "entity"}


LISTED = Product.objects.filter(state=Product.State.LISTED, version__gt=0).select_related(
    "resource__snapshot", "authorization", "merchant"
)


@extend_schema(operation_id="products")
class Products(ListAPIView[Product]):
    """GET /v1/products."""

    queryset = LISTED
    serializer_class = ProductBody


@extend_schema(operation_id="product")
class OneProduct(RetrieveAPIView[Product]):
    """GET /v1/products/{code}."""

    queryset = LISTED
    serializer_class = ProductBody
    lookup_field = "code"
