-- SELECT station, COUNT(*), SUM(pm25), AVG(pm25) FROM air GROUP BY station
SELECT "station" AS d0,
  count(*) AS v0,
  count("pm25") AS v1,
  sum("pm25")::BIGINT AS v2
FROM snapshot
GROUP BY "station";
