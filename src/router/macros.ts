/**
 * Macros: what DuckDB lacks of PostgreSQL's arithmetic and text, as SQL macros of ours.
 *
 * M1  A macro gives PostgreSQL's result or raises; the statement then runs in PostgreSQL.
 * M2  All live in the schema `slipway` of the executor's catalog and are called by that name.
 *
 * Source: PostgreSQL's numeric.c (select_div_scale, round_var) and float.c (checks).
 */
const INTEGERS = [
  `idiv(a, b) AS CASE WHEN b = 0 THEN error('division by zero') ELSE a // b END`,
  `modulo(a, b) AS CASE WHEN b = 0 THEN error('division by zero') ELSE a % b END`,
]

/** a, b: both DOUBLE or both FLOAT. */
const FLOATS = [
  `fadd(a, b) AS CASE WHEN isinf(a + b) AND NOT isinf(a) AND NOT isinf(b)
     THEN error('value out of range: overflow') ELSE a + b END`,
  `fsub(a, b) AS CASE WHEN isinf(a - b) AND NOT isinf(a) AND NOT isinf(b)
     THEN error('value out of range: overflow') ELSE a - b END`,
  `fmul(a, b) AS CASE WHEN isinf(a * b) AND NOT isinf(a) AND NOT isinf(b)
     THEN error('value out of range: overflow')
     WHEN a * b = 0 AND a <> 0 AND b <> 0 THEN error('value out of range: underflow')
     ELSE a * b END`,
  `fdiv(a, b) AS CASE WHEN a IS NULL OR b IS NULL THEN NULL
     WHEN b = 0 THEN (CASE WHEN isnan(a) THEN a ELSE error('division by zero') END)
     WHEN isinf(a / b) AND NOT isinf(a) THEN error('value out of range: overflow')
     WHEN a / b = 0 AND a <> 0 AND NOT isinf(b) THEN error('value out of range: underflow')
     ELSE a / b END`,
  `fsqrt(a) AS CASE WHEN a < 0 THEN error('square root of a negative number') ELSE sqrt(a) END`,
  // Which of -0 and 0 a group, min or max shows is open: raise when there is a -0 at all.
  `one_zero(a) AS CASE WHEN a = 0 AND signbit(a) THEN error('negative zero') ELSE a END`,
  `sort_zero(a) AS CASE WHEN a = 0 THEN CAST(0 AS DOUBLE) ELSE a END`,
]

const TIMES = [
  `finite(t) AS CASE WHEN isinf(t) OR t < '0001-01-02' THEN error('a time out of range')
     ELSE t END`,
  `extract_second(t) AS (CAST(microsecond(t) AS DECIMAL(18,0))
     * CAST(0.000001 AS DECIMAL(6,6)))::DECIMAL(18,6)`,
  `extract_millisecond(t) AS (CAST(microsecond(t) AS DECIMAL(18,0))
     * CAST(0.001 AS DECIMAL(3,3)))::DECIMAL(18,3)`,
  `extract_epoch(t) AS (CAST(epoch_us(t) AS DECIMAL(20,0))
     * CAST(0.000001 AS DECIMAL(6,6)))::DECIMAL(26,6)`,
  // Years below 1000 are written with fewer digits by one of the two.
  `to_text(t, f) AS CASE WHEN year(t) < 1000 THEN error('a year of fewer than four digits')
     ELSE strftime(t, f) END`,
  `extract_epoch_date(t) AS CAST(epoch_us(t) // 1000000 AS DECIMAL(18,0))`,
]

/** x sorted in DuckDB, the row picked by PostgreSQL's formula (orderedsetaggs.c). */
const PERCENTILES = [
  `sorted(x) AS list_sort(list(x) FILTER (WHERE x IS NOT NULL))`,
  `percentile_disc(x, f) AS slipway.sorted(x)[
     greatest(1, CAST(ceil(f * count(x)) AS BIGINT))]`,
  `percentile_cont(x, f) AS CASE WHEN count(x) = 0 THEN NULL
     WHEN floor(f * (count(x) - 1)) = ceil(f * (count(x) - 1))
     THEN slipway.sorted(x)[CAST(floor(f * (count(x) - 1)) AS BIGINT) + 1] ELSE
     slipway.sorted(x)[CAST(floor(f * (count(x) - 1)) AS BIGINT) + 1]
     + (f * (count(x) - 1) - floor(f * (count(x) - 1)))
       * (slipway.sorted(x)[CAST(ceil(f * (count(x) - 1)) AS BIGINT) + 1]
          - slipway.sorted(x)[CAST(floor(f * (count(x) - 1)) AS BIGINT) + 1]) END`,
]

/** Letters that Unicode 16 brought or changed: PostgreSQL 17 and 18 and DuckDB differ. */
const NEW_CASE = '[\\x{1C89}\\x{1C8A}\\x{A7CB}-\\x{A7DC}\\x{019B}\\x{0264}\\x{10D50}-\\x{10D85}]'

const TEXTS = [
  `ascii_only(s) AS (strlen(s) = length(s))`,
  `lower_text(s) AS CASE WHEN slipway.ascii_only(s) THEN lower(s)
     WHEN regexp_matches(s, '${NEW_CASE}') THEN error('letters of Unicode 16')
     ELSE lower(s) END`,
  // PostgreSQL leaves ß as it is; U+E000, private use, stands in for it meanwhile.
  `upper_text(s) AS CASE WHEN slipway.ascii_only(s) THEN upper(s)
     WHEN regexp_matches(s, '${NEW_CASE}') OR contains(s, chr(57344))
     THEN error('letters of Unicode 16')
     ELSE replace(upper(replace(s, 'ß', chr(57344))), chr(57344), 'ß') END`,
  `reverse_text(s) AS CASE WHEN slipway.ascii_only(s) THEN reverse(s)
     WHEN s IS NOT NULL THEN error('reverse of more than ASCII') END`,
  `substring_from(s, b) AS CASE WHEN b >= 1 THEN substring(s, b)
     WHEN b < 1 THEN substring(s, 1) END`,
  `substring_for(s, b, n) AS CASE WHEN n < 0 THEN error('negative substring length')
     WHEN b >= 1 THEN substring(s, b, n)
     WHEN b < 1 THEN substring(s, 1, greatest(CAST(b AS BIGINT) + n - 1, 0)) END`,
]

/**
 * A numeric is (u, s, d): unscaled HUGEINT, its scale, PostgreSQL's display scale.
 *
 * Macros write their arguments out wherever they are named: the lambdas bind each step once,
 * or planning a division would cost more than running the statement. Fields are read by
 * struct_extract: in HAVING, DuckDB takes `p.ua` for a column.
 */
const NUMERICS = [
  `power10(k) AS CAST('1' || repeat('0', CAST(k AS INTEGER)) AS HUGEINT)`,
  // The place of the first base-10000 digit, as select_div_scale counts it, plus 1000.
  `digits(u) AS length(CAST(abs(u) AS VARCHAR))`,
  `first10000(u, e) AS CASE WHEN u = 0 THEN 0 ELSE CAST(rpad(CAST(abs(u) AS VARCHAR),
     CAST(e % 4 + 1 AS INTEGER), '0') AS INTEGER) END`,
  `quotient_scale_of(q, da, db) AS CAST(greatest(16 - 4 * (
       CASE WHEN struct_extract(q, 'ua') = 0 THEN 0
         ELSE struct_extract(q, 'ea') // 4 - 1000 END
       - (struct_extract(q, 'eb') // 4 - 1000)
       - CASE WHEN slipway.first10000(struct_extract(q, 'ua'), struct_extract(q, 'ea'))
           <= slipway.first10000(struct_extract(q, 'ub'), struct_extract(q, 'eb'))
           THEN 1 ELSE 0 END),
     da, db, 0) AS INTEGER)`,
  // Half away from zero at scale r; r + sb - sa may be negative for a large scale of a.
  `rounded_quotient(ua, sa, ub, sb, r) AS
     CAST(CASE WHEN (ua < 0) <> (ub < 0) THEN -1 ELSE 1 END AS HUGEINT) * (
       (abs(ua) * slipway.power10(greatest(r + sb - sa, 0)) * 2
         + abs(ub) * slipway.power10(greatest(sa - sb - r, 0)))
       // (abs(ub) * slipway.power10(greatest(sa - sb - r, 0)) * 2))`,
  `divide(ua, sa, da, ub, sb, db) AS list_transform(
     [{'ua': CAST(ua AS HUGEINT), 'ub': CAST(ub AS HUGEINT)}], lambda p:
     CASE WHEN struct_extract(p, 'ua') IS NULL OR struct_extract(p, 'ub') IS NULL THEN NULL
       WHEN struct_extract(p, 'ub') = 0 THEN error('division by zero')
       ELSE list_transform([{'ua': struct_extract(p, 'ua'), 'ub': struct_extract(p, 'ub'),
           'ea': slipway.digits(struct_extract(p, 'ua')) - 1 - sa + 4000,
           'eb': slipway.digits(struct_extract(p, 'ub')) - 1 - sb + 4000}], lambda q:
         list_transform([slipway.quotient_scale_of(q, da, db)], lambda r:
           {'u': slipway.rounded_quotient(
               struct_extract(q, 'ua'), sa, struct_extract(q, 'ub'), sb, r),
             's': r})[1])[1] END)[1]`,
  `quotient(ua, sa, da, ub, sb, db) AS list_transform(
     [slipway.divide(ua, sa, da, ub, sb, db)], lambda n:
     CASE WHEN n IS NULL THEN NULL
       WHEN struct_extract(n, 's') > 20 THEN error('more than 20 decimals')
       ELSE CAST(struct_extract(n, 'u') * slipway.power10(20 - struct_extract(n, 's'))
           AS DECIMAL(38,0))
         * CAST('0.00000000000000000001' AS DECIMAL(20,20)) END)[1]`,
  `quotient_scale(ua, sa, da, ub, sb, db) AS slipway.divide(ua, sa, da, ub, sb, db).s`,
  `quotient_units(ua, sa, da, ub, sb, db) AS slipway.divide(ua, sa, da, ub, sb, db).u`,
  // Below 10000 a quotient has 16 decimals at least, whatever its operands show.
  `small_dividend(a, b) AS CASE WHEN a IS NULL OR b IS NULL OR b = 0 THEN a
     WHEN a = 0 AND abs(CAST(b AS DOUBLE)) < 0.0002
     THEN error('a tiny divisor of numerics of mixed scale')
     WHEN abs(CAST(a AS DOUBLE)) < abs(CAST(b AS DOUBLE)) * 5000 THEN a
     ELSE error('a large quotient of numerics of mixed scale') END`,
  `rescaled(u, s, d) AS CASE WHEN d >= s THEN u * slipway.power10(d - s)
     ELSE u // slipway.power10(s - d) END`,
]

/** Statements that create the macros, in order; run once on every DuckDB instance. */
export const MACRO_STATEMENTS: readonly string[] = [
  'CREATE SCHEMA IF NOT EXISTS slipway',
  ...[...INTEGERS, ...FLOATS, ...TIMES, ...PERCENTILES, ...TEXTS, ...NUMERICS]
    .map((definition) => `CREATE OR REPLACE MACRO slipway.${definition}`),
]
