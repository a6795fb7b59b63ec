-- SELECT COUNT(*) FROM air
SELECT count(*) AS v0
FROM snapshot;
