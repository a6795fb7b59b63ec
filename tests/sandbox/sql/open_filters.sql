-- SELECT day, COUNT(*) FROM air WHERE (pm25 > 3.05 OR pm25 IS NULL) AND day <> '2026-01-01' GROUP BY day
SELECT "day" AS d0,
  count(*) AS v0
FROM snapshot
WHERE ("day" BETWEEN 2 AND 3 AND ("pm25" >= 31 OR NOT ("pm25" IS NOT NULL)))
GROUP BY "day";
