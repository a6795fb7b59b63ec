-- SELECT carrier, month, COUNT(*), AVG(dep_delay), SUM(distance) FROM flights GROUP BY carrier, month
SELECT "carrier" AS d0,
  "month" AS d1,
  count(*) AS rows,
  coalesce(max(_rows), 0)::BIGINT AS most,
  count(*) AS v0,
  coalesce(sum(_key::BIGINT), 0)::BIGINT AS k0,
  count("dep_delay") AS v1,
  coalesce(sum(CASE WHEN "dep_delay" IS NOT NULL THEN _key::BIGINT END), 0)::BIGINT AS k1,
  coalesce(sum("dep_delay"), 0)::BIGINT AS v2,
  coalesce(sum(CASE WHEN "dep_delay" IS NOT NULL THEN _key::BIGINT END), 0)::BIGINT AS k2,
  count("dep_delay") AS n2,
  coalesce(sum(abs("dep_delay"::BIGINT)), 0)::BIGINT AS a2,
  coalesce(greatest(max("dep_delay"), -min("dep_delay")::BIGINT), 0)::BIGINT AS x2,
  coalesce(sum("distance"), 0)::BIGINT AS v3,
  coalesce(sum(CASE WHEN "distance" IS NOT NULL THEN _key::BIGINT END), 0)::BIGINT AS k3,
  count("distance") AS n3,
  coalesce(max("distance"), 0)::BIGINT AS x3
FROM snapshot
GROUP BY "carrier", "month"
-- again, of the cells (1, …) and (2, …)
SELECT "carrier" AS d0,
  "month" AS d1,
  count(*) AS entities,
  coalesce(sum(v0), 0)::BIGINT AS v0,
  coalesce(sum(v0), 0)::BIGINT AS a0,
  coalesce(max(v0, 2)[1], 0) AS t0,
  coalesce(max(v0, 2)[2], 0) AS u0,
  coalesce(sum(k0), 0)::BIGINT AS k0,
  count(nullif(n1, 0)) AS n1,
  coalesce(sum(v1), 0)::BIGINT AS v1,
  coalesce(sum(v1), 0)::BIGINT AS a1,
  coalesce(max(v1, 2)[1], 0) AS t1,
  coalesce(max(v1, 2)[2], 0) AS u1,
  coalesce(sum(k1), 0)::BIGINT AS k1,
  count(nullif(n2, 0)) AS n2,
  coalesce(sum(v2), 0)::BIGINT AS v2,
  coalesce(sum(a2), 0)::BIGINT AS a2,
  coalesce(max(a2, 2)[1], 0) AS t2,
  coalesce(max(a2, 2)[2], 0) AS u2,
  coalesce(sum(k2), 0)::BIGINT AS k2,
  count(nullif(n3, 0)) AS n3,
  coalesce(sum(v3), 0)::BIGINT AS v3,
  coalesce(sum(a3), 0)::BIGINT AS a3,
  coalesce(max(a3, 2)[1], 0) AS t3,
  coalesce(max(a3, 2)[2], 0) AS u3,
  coalesce(sum(k3), 0)::BIGINT AS k3
FROM (
SELECT "carrier",
  "month",
  count(*) AS v0,
  coalesce(sum(_key::BIGINT), 0)::BIGINT AS k0,
  count("dep_delay") AS n1,
  count("dep_delay") AS v1,
  coalesce(sum(CASE WHEN "dep_delay" IS NOT NULL THEN _key::BIGINT END), 0)::BIGINT AS k1,
  count("dep_delay") AS n2,
  coalesce(sum("dep_delay"), 0)::BIGINT AS v2,
  coalesce(sum(abs("dep_delay")), 0)::BIGINT AS a2,
  coalesce(sum(CASE WHEN "dep_delay" IS NOT NULL THEN _key::BIGINT END), 0)::BIGINT AS k2,
  count("distance") AS n3,
  coalesce(sum("distance"), 0)::BIGINT AS v3,
  coalesce(sum(abs("distance")), 0)::BIGINT AS a3,
  coalesce(sum(CASE WHEN "distance" IS NOT NULL THEN _key::BIGINT END), 0)::BIGINT AS k3
FROM snapshot
WHERE (("carrier" = 1 AND "month" = 1) OR ("carrier" = 2 AND "month" = 2))
GROUP BY "carrier", "month", _entity
)
GROUP BY "carrier", "month"
