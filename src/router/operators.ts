/**
 * Operators: the comparisons by OID, and how DuckDB does each one as PostgreSQL does.
 *
 * O1  An operator that is not listed is refused: the OID, never the name, decides.
 */
import { refuseUnlessDeterministic, refuseUnlessOrdered } from './collation.ts'
import { asDecimal, comparable, settle } from './decimal.ts'
import { type Expr, type PlainExpr, cast, refuseOpaque } from './expr.ts'
import type { RouterContext } from './plan.ts'
import { refuse } from './refusal.ts'

export type ComparisonOp = '=' | '<>' | '<' | '<=' | '>' | '>='
type Domain = 'int' | 'float' | 'numeric' | 'text' | 'bpchar' | 'bool' | 'time' | 'interval' |
  'bytea' | 'uuid'

export interface Comparison {
  readonly op: ComparisonOp
  readonly domain: Domain
}

/** pg_operator.dat, PostgreSQL 16–18; in the order = <> < <= > >=. */
const OIDS: Readonly<Record<Domain, readonly (readonly number[])[]>> = {
  int: [
    [15, 94, 96, 410, 416, 532, 533, 1862, 1868], [36, 411, 417, 518, 519, 538, 539, 1863, 1869],
    [37, 95, 97, 412, 418, 534, 535, 1864, 1870], [80, 414, 420, 522, 523, 540, 541, 1866, 1872],
    [76, 413, 419, 520, 521, 536, 537, 1865, 1871], [82, 415, 430, 524, 525, 542, 543, 1867, 1873],
  ],
  float: [
    [620, 670, 1120, 1130], [621, 671, 1121, 1131], [622, 672, 1122, 1132],
    [624, 673, 1124, 1134], [623, 674, 1123, 1133], [625, 675, 1125, 1135],
  ],
  numeric: [[1752], [1753], [1754], [1755], [1756], [1757]],
  // 254–265: name against text; 93 and 643–663: name. 2314–2318: text_pattern_ops.
  text: [
    [98, 93, 254, 260], [531, 643, 259, 265], [664, 660, 255, 261, 2314],
    [665, 661, 256, 262, 2315], [666, 662, 258, 264, 2318], [667, 663, 257, 263, 2317],
  ],
  bpchar: [[1054], [1057], [1058], [1059], [1060], [1061]],
  bool: [[91], [85], [58], [1694], [59], [1695]],
  // date, timestamp, timestamptz and all pairs of them.
  time: [
    [1093, 1320, 2060, 2347, 2360, 2373, 2386, 2536, 2542],
    [1094, 1321, 2061, 2350, 2363, 2376, 2389, 2539, 2545],
    [1095, 1322, 2062, 2345, 2358, 2371, 2384, 2534, 2540],
    [1096, 1323, 2063, 2346, 2359, 2372, 2385, 2535, 2541],
    [1097, 1324, 2064, 2349, 2362, 2375, 2388, 2538, 2544],
    [1098, 1325, 2065, 2348, 2361, 2374, 2387, 2537, 2543],
  ],
  interval: [[1330], [1331], [1332], [1333], [1334], [1335]],
  bytea: [[1955], [1956], [1957], [1958], [1959], [1960]],
  uuid: [[2972], [2973], [2974], [2976], [2975], [2977]],
}
const OPS: readonly ComparisonOp[] = ['=', '<>', '<', '<=', '>', '>=']

const COMPARISONS: ReadonlyMap<number, Comparison> = new Map(
  Object.entries(OIDS).flatMap(([domain, byOp]) => byOp.flatMap((oids, index) =>
    oids.map((oid) =>
      [oid, { op: OPS[index] ?? '=', domain: domain as Domain }] as const))))

const DOMAIN_KINDS: Readonly<Record<Domain, readonly string[]>> = {
  int: ['int2', 'int4', 'int8'], float: ['float4', 'float8'], numeric: ['decimal'],
  text: ['text'], bpchar: ['bpchar'], bool: ['bool'], time: ['date', 'timestamp', 'timestamptz'],
  interval: ['interval'], bytea: ['bytea'], uuid: ['uuid'],
}

export function comparisonOf(opno: number): Comparison | null {
  return COMPARISONS.get(opno) ?? null
}

/** Both operands as DuckDB SQL, in forms that DuckDB compares as PostgreSQL does. */
export function comparisonOperands(
  comparison: Comparison, a: Expr, b: Expr,
  options: { readonly collation: number; readonly context: RouterContext },
): readonly [string, string] {
  const { op, domain } = comparison
  if (domain === 'numeric') return comparable(asDecimal(a), asDecimal(b))
  const left = refuseOpaque(settle(a)), right = refuseOpaque(settle(b))
  for (const side of [left, right]) {
    if (!DOMAIN_KINDS[domain].includes(side.repr.kind)) {
      refuse('the operands of a comparison have an unexpected form')
    }
  }
  if (domain === 'text' || domain === 'bpchar') {
    if (op === '=' || op === '<>') refuseUnlessDeterministic(options.collation)
    else refuseUnlessOrdered(options.collation, options.context)
  }
  if (domain === 'time') refuseUnlessPlainZone(left, right, options.context)
  if (domain === 'float' && left.repr.kind !== right.repr.kind) {
    return [cast(left.sql, 'DOUBLE'), cast(right.sql, 'DOUBLE')]
  }
  return [left.sql, right.sql]
}

/** date and timestamp meet timestamptz in the session's zone. */
function refuseUnlessPlainZone(a: PlainExpr, b: PlainExpr, context: RouterContext): void {
  if (a.repr.kind === b.repr.kind) return
  if (a.repr.kind === 'timestamptz' || b.repr.kind === 'timestamptz') refuseUnlessKnownZone(context)
}

const ODD_ZONES: ReadonlySet<string> = new Set([
  'CET', 'EET', 'MET', 'WET', 'EST', 'HST', 'MST', 'CST6CDT', 'EST5EDT', 'MST7MDT', 'PST8PDT',
  'America/Edmonton', 'America/Inuvik', 'America/Yellowknife', 'Canada/Mountain',
  'Africa/Casablanca', 'Africa/El_Aaiun',
])

/** Zones in which both engines' tables agree; POSIX and offset forms are not taken. */
export function refuseUnlessKnownZone(context: RouterContext): void {
  const zone = context.timeZone
  if (!/^(?:UTC|GMT|[A-Z][A-Za-z]+(?:\/[A-Z][A-Za-z_-]+)+)$/.test(zone) || ODD_ZONES.has(zone)) {
    refuse('the session\'s TimeZone is one where DuckDB may differ')
  }
}
