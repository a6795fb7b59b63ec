-- SELECT carrier, COUNT(*), MEDIAN(dep_delay), QUANTILE_CONT(distance, 0.9) FILTER (WHERE month = 1) FROM trips WHERE origin = 'EWR' GROUP BY carrier
SELECT "carrier" AS d0,
  count(*) AS v0
FROM snapshot
WHERE "origin" IN (1) AND (_rank <= 3)
GROUP BY "carrier";
-- by bins
SELECT "carrier" AS d0,
  (("dep_delay"::BIGINT - -60) // 1)::USMALLINT AS bin,
  count(*) AS n
FROM snapshot
WHERE "origin" IN (1) AND (_rank <= 3 AND "dep_delay" IS NOT NULL)
GROUP BY "carrier", (("dep_delay"::BIGINT - -60) // 1)::USMALLINT;
-- by bins
SELECT "carrier" AS d0,
  (("distance"::BIGINT - 0) // 2)::USMALLINT AS bin,
  count(*) AS n
FROM snapshot
WHERE "origin" IN (1) AND (_rank <= 3 AND "distance" IS NOT NULL AND "month" IN (1))
GROUP BY "carrier", (("distance"::BIGINT - 0) // 2)::USMALLINT;
