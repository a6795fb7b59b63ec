-- SELECT carrier, COUNT(*) FROM flights WHERE month BETWEEN 2 AND 3 AND NOT origin IN ('EWR') GROUP BY carrier
SELECT "carrier" AS d0,
  count(*) AS rows,
  coalesce(max(_rows), 0)::BIGINT AS most,
  count(*) AS n0,
  coalesce(max(_rows), 0)::BIGINT AS m0,
  coalesce(sum(_key::BIGINT), 0)::BIGINT AS k0,
  count(*) AS v0
FROM snapshot
WHERE ("month" BETWEEN 2 AND 3 AND "origin" BETWEEN 2 AND 3)
GROUP BY "carrier";
-- again, of the cells (1, …) and (2, …)
SELECT "carrier" AS d0,
  count(*) AS entities,
  coalesce(sum(v0), 0)::BIGINT AS v0,
  coalesce(sum(v0), 0)::BIGINT AS a0,
  coalesce(max(v0, 2)[1], 0) AS t0,
  coalesce(max(v0, 2)[2], 0) AS u0,
  coalesce(sum(k0), 0)::BIGINT AS k0
FROM (
SELECT "carrier",
  count(*) AS v0,
  coalesce(sum(_key::BIGINT), 0)::BIGINT AS k0
FROM snapshot
WHERE ("month" BETWEEN 2 AND 3 AND "origin" BETWEEN 2 AND 3) AND (("carrier" = 1) OR ("carrier" = 2))
GROUP BY "carrier", _entity
)
GROUP BY "carrier";
