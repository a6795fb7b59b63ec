-- SELECT COUNT(*), COUNT(DISTINCT tailnum) FROM flights
SELECT count(*) AS rows,
  coalesce(max(_rows), 0)::BIGINT AS most,
  count(*) AS n0,
  coalesce(max(_rows), 0)::BIGINT AS m0,
  coalesce(sum(_key::BIGINT), 0)::BIGINT AS k0,
  count(*) AS v0,
  count(_entity) AS n1,
  coalesce(max(_rows), 0)::BIGINT AS m1,
  coalesce(sum(_key::BIGINT), 0)::BIGINT AS k1,
  coalesce(bit_count(bitstring_agg(_entity, 0, 168)), 0) AS v1
FROM snapshot;
-- again, of the cells (1, …) and (2, …)
SELECT count(*) AS entities,
  coalesce(sum(v0), 0)::BIGINT AS v0,
  coalesce(sum(v0), 0)::BIGINT AS a0,
  coalesce(max(v0, 2)[1], 0) AS t0,
  coalesce(max(v0, 2)[2], 0) AS u0,
  coalesce(sum(k0), 0)::BIGINT AS k0,
  count(*) AS v1,
  coalesce(sum(k1), 0)::BIGINT AS k1
FROM (
SELECT count(*) AS v0,
  coalesce(sum(_key::BIGINT), 0)::BIGINT AS k0,
  sum(_key::BIGINT)::BIGINT AS k1
FROM snapshot
GROUP BY _entity
);
