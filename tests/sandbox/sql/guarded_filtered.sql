-- SELECT month, SUM(distance) FILTER (WHERE carrier = 'AA'), COUNT(DISTINCT tailnum) FILTER (WHERE carrier = 'AA') FROM flights GROUP BY month
SELECT "month" AS d0,
  count(*) AS rows,
  coalesce(max(_rows), 0)::BIGINT AS most,
  count(CASE WHEN "carrier" IN (1) THEN _entity END) AS n0,
  coalesce(max(CASE WHEN "carrier" IN (1) THEN _rows END), 0)::BIGINT AS m0,
  coalesce(sum(CASE WHEN "carrier" IN (1) THEN _key::BIGINT END), 0)::BIGINT AS k0,
  coalesce(bit_count(bitstring_agg(CASE WHEN "carrier" IN (1) THEN _entity END, 0, 168)), 0) AS v0,
  count(CASE WHEN "carrier" IN (1) THEN "distance" END) AS n1,
  coalesce(max(CASE WHEN "carrier" IN (1) AND "distance" IS NOT NULL THEN _rows END), 0)::BIGINT AS m1,
  coalesce(sum(CASE WHEN "carrier" IN (1) AND "distance" IS NOT NULL THEN _key::BIGINT END), 0)::BIGINT AS k1,
  coalesce(sum(CASE WHEN "carrier" IN (1) THEN "distance"::BIGINT END), 0)::BIGINT AS v1,
  coalesce(max(CASE WHEN "carrier" IN (1) THEN "distance"::BIGINT END), 0)::BIGINT AS x1
FROM snapshot
GROUP BY "month";
-- again, of the cells (1, …) and (2, …)
SELECT "month" AS d0,
  count(*) AS entities,
  count(nullif(n0, 0)) AS n0,
  count(nullif(n0, 0)) AS v0,
  coalesce(sum(k0), 0)::BIGINT AS k0,
  count(nullif(n1, 0)) AS n1,
  coalesce(sum(v1), 0)::BIGINT AS v1,
  coalesce(sum(a1), 0)::BIGINT AS a1,
  coalesce(max(a1, 2)[1], 0) AS t1,
  coalesce(max(a1, 2)[2], 0) AS u1,
  coalesce(sum(k1), 0)::BIGINT AS k1
FROM (
SELECT "month",
  count(CASE WHEN "carrier" IN (1) THEN 1 END) AS n0,
  sum(CASE WHEN "carrier" IN (1) THEN _key::BIGINT END)::BIGINT AS k0,
  count(CASE WHEN "carrier" IN (1) THEN "distance" END) AS n1,
  coalesce(sum(CASE WHEN "carrier" IN (1) THEN "distance" END), 0)::BIGINT AS v1,
  coalesce(sum(CASE WHEN "carrier" IN (1) THEN abs("distance") END), 0)::BIGINT AS a1,
  coalesce(sum(CASE WHEN "carrier" IN (1) AND "distance" IS NOT NULL THEN _key::BIGINT END), 0)::BIGINT AS k1
FROM snapshot
WHERE (("month" = 1) OR ("month" = 2))
GROUP BY "month", _entity
)
GROUP BY "month";
