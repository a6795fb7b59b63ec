-- SELECT COUNT(*) FROM air WHERE pm25 > 1 AND pm25 < 1
SELECT count(*) AS v0
FROM snapshot
WHERE FALSE;
