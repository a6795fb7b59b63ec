-- SELECT station, COUNT(*) FILTER (WHERE pm25 > 3), AVG(pm25) FILTER (WHERE day > '2026-01-01'), COUNT(DISTINCT day) FILTER (WHERE pm25 IS NULL), VARIANCE(pm25) FROM air GROUP BY station
SELECT "station" AS d0,
  coalesce(bit_count(bitstring_agg(CASE WHEN NOT ("pm25" IS NOT NULL) THEN "day" END, 0, 3)), 0) - coalesce(max(CASE WHEN NOT ("pm25" IS NOT NULL) THEN "day" = 0 END)::INTEGER, 0) AS v0,
  count("pm25") AS v1,
  count(CASE WHEN "day" BETWEEN 2 AND 3 THEN "pm25" END) AS v2,
  count(CASE WHEN "pm25" >= 31 THEN 1 END) AS v3,
  sum("pm25"::BIGINT * "pm25"::BIGINT)::BIGINT AS v4,
  sum("pm25")::BIGINT AS v5,
  sum(CASE WHEN "day" BETWEEN 2 AND 3 THEN "pm25" END)::BIGINT AS v6
FROM snapshot
GROUP BY "station";
