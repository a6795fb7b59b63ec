"""The buyers' API: ask, read the answer again, fetch the evidence. No rule lives here."""

import json
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, OpenApiTypes, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from exchange.api import formats
from exchange.api.tokens import Caller
from exchange.audit import proofs
from exchange.audit.models import Record
from exchange.crypto.canonical import canonical, digest
from exchange.errors import Problem
from settlement import metered_query
from settlement.models import MeteredQuery
from settlement.prepared import Ask
from settlement.presented import document_of, priced, table_of

MOST_KEY = 200
IDEMPOTENCY = OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER, required=True)


class AskBody(serializers.Serializer[Any]):
    """A question: `sql`, or the same as JSON in `query`."""

    sql = serializers.CharField(required=False, max_length=8192, trim_whitespace=False)
    query = serializers.JSONField(required=False)
    purpose = serializers.SlugField(max_length=60)
    licence = serializers.UUIDField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("sql" in attrs) == ("query" in attrs):
            raise serializers.ValidationError("Give either `sql` or `query`.")
        return attrs


class Answer(serializers.Serializer[Any]):
    """An answer. See docs/api.md."""

    id = serializers.UUIDField()
    product = serializers.CharField()
    snapshot = serializers.CharField()
    columns = serializers.ListField(child=serializers.DictField())
    rows = serializers.ListField(child=serializers.ListField())
    cells = serializers.DictField()
    stored = serializers.BooleanField()
    price = serializers.DictField()
    joined = serializers.ListField(child=serializers.DictField(), required=False)
    receipt = serializers.CharField()
    links = serializers.DictField()


class Price(serializers.Serializer[Any]):
    """What a question costs at most. See docs/api.md."""

    product = serializers.CharField()
    price = serializers.DictField()
    cells = serializers.IntegerField()
    stored = serializers.BooleanField()
    privacy = serializers.DictField(required=False)


class Queries(APIView):
    """POST /v1/queries."""

    @extend_schema(request=AskBody, responses={200: Answer}, parameters=[IDEMPOTENCY], operation_id="ask")
    def post(self, request: Request) -> HttpResponse:
        """Ask one aggregate question of a licensed product, for a purpose the licence names."""
        media_type = chosen_format(request)
        caller: Caller = request.user  # type: ignore[assignment]
        return shown(metered_query.answer(caller, ask_of(request)), media_type)


class Prices(APIView):
    """POST /v1/prices."""

    @extend_schema(request=AskBody, responses={200: Price}, operation_id="price")
    def post(self, request: Request) -> Response:
        """What a question would cost at most, in money and budget; nothing is run, counted or held."""
        caller: Caller = request.user  # type: ignore[assignment]
        return Response(priced(metered_query.price(caller, ask_of(request, key="a price"))))


class OneQuery(APIView):
    """GET /v1/queries/{id}, for the party that asked."""

    part = "answer"

    @extend_schema(responses={200: Answer, (200, "*/*"): OpenApiTypes.STR})
    def get(self, request: Request, pk: UUID) -> HttpResponse:
        """The answer again, or its evidence: the node's release, the receipt, the proof of inclusion."""
        query = access_query(request.user, pk)  # type: ignore[arg-type]
        match self.part:
            case "release":
                return HttpResponse(query.release.jws if query.release else "", content_type="application/jose")
            case "receipt":
                return HttpResponse(query.receipt.jws, content_type="application/jose")
            case "proof":
                text = proofs.inclusion(Record.objects.get(pk=query.receipt.record))
                return HttpResponse(text, content_type="text/plain; charset=utf-8")
            case _:
                return shown(query, chosen_format(request))


def access_query(caller: Caller, pk: UUID) -> MeteredQuery:
    """The caller's party's own settled query. Raises Problem not_found, also for another party's."""
    query = (
        MeteredQuery.objects.select_related("release", "usage", "receipt", "product")
        .filter(pk=pk, party=caller.party)
        .first()
    )
    if query is None:
        raise Problem("not_found")
    if query.state == MeteredQuery.State.RESERVED:
        raise Problem("query_in_progress", query=str(pk))
    if query.code:
        raise Problem(query.code, query=str(pk))
    return query


def ask_of(request: Request, key: str = "") -> Ask:
    """The request as a value, under `key` if given. Raises Problem idempotency_key_missing, body_malformed or
    field_invalid."""
    key = key or request.headers.get("Idempotency-Key", "").strip()
    if not key:
        raise Problem("idempotency_key_missing", hint="Any text new to you, such as a UUID.")
    if len(key) > MOST_KEY:
        raise Problem("field_invalid", f"Idempotency-Key: at most {MOST_KEY} characters")
    body = AskBody(data=request.data)
    body.is_valid(raise_exception=True)
    values = body.validated_data
    return Ask(
        question=values["sql"] if "sql" in values else values["query"],
        purpose=values["purpose"],
        idempotency_key=key,
        body_digest=digest(canonical(json.loads(json.dumps(request.data)))),
        licence=values.get("licence"),
    )


def chosen_format(request: Request) -> str:
    media_type = formats.choose(request.headers.get("Accept", ""))
    if media_type is None:
        raise Problem("not_acceptable", hint=", ".join([formats.JSON, *formats.WRITERS]))
    return media_type


def shown(query: MeteredQuery, media_type: str) -> HttpResponse:
    """The answer in `media_type`; outside JSON, what goes with the table goes in headers."""
    if media_type == formats.JSON:
        return Response(document_of(query))
    response = HttpResponse(formats.WRITERS[media_type](table_of(query)), content_type=media_type)
    response["Sluice-Query"] = str(query.pk)
    response["Sluice-Price"] = f"{query.usage.amount} {query.usage.currency}"
    response["Sluice-Receipt"] = query.receipt.jws
    return response
