-- SELECT station, COUNT(DISTINCT day), COUNT(DISTINCT pm25), COUNT(day) FROM air GROUP BY station
SELECT "station" AS d0,
  count(nullif("day", 0)) AS v0,
  coalesce(bit_count(bitstring_agg("day", 0, 3)), 0) - coalesce(max("day" = 0)::INTEGER, 0) AS v1,
  coalesce(bit_count(bitstring_agg("pm25", 0, 10000)), 0) AS v2
FROM snapshot
GROUP BY "station";
