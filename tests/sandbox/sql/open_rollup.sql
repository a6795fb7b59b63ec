-- SELECT day, COUNT(*) FROM air WHERE day <= '2026-01-02' GROUP BY station, ROLLUP(day)
SELECT "day" AS d0,
  "station" AS d1,
  count(*) AS v0
FROM snapshot
WHERE "day" BETWEEN 1 AND 2
GROUP BY "day", "station";
SELECT "station" AS d0,
  count(*) AS v0
FROM snapshot
WHERE "day" BETWEEN 1 AND 2
GROUP BY "station";
