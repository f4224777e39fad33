/**
 * ZoneOffsets: what a time zone's offset from UTC is at any instant, as PostgreSQL has it.
 *
 * Z1  The table is read from PostgreSQL itself, so its tzdata and ours cannot differ.
 * Z2  An instant after the table's years is refused, never guessed.
 */
import { SlipwayError } from '../base/errors.ts'

export interface ZoneOffsets {
  /** Seconds east of UTC, or null when the table does not reach there. */
  at(micros: bigint): number | null
}

/** Runs SQL on a connection of ours to the mirrored server; rows of text. */
export type RunSql = (
  sql: string, values: readonly string[],
) => Promise<readonly (readonly (string | null)[])[]>

/** `since` is the first second, since 1970, of the offset. */
interface ZoneChange {
  readonly since: number
  readonly offset: number
}

const ZONES_MAX = 700
/** No zone of tzdata changed before 1835: until then each has its local mean time. */
const TABLE_FROM = '1800-01-01 00:00:00+00'
const TABLE_TO = '2200-01-01 00:00:00+00'
const UTC_NAMES = new Set(['UTC', 'ETC/UTC', 'GMT', 'ETC/GMT', 'UCT', 'ZULU', 'ETC/ZULU',
  'UNIVERSAL', 'ETC/UNIVERSAL', 'ETC/UCT', 'GMT0', 'ETC/GMT0', 'GREENWICH', 'ETC/GREENWICH'])

/**
 * Days whose offset differs from the day before, narrowed to hours, minutes, seconds.
 * The setting lasts for this statement. `timezone(name, t)` would not do: it takes CET or
 * EST for an abbreviation, where the setting takes it for the zone.
 */
const CHANGES_SQL = `
with zone as materialized (
  select set_config('TimeZone', $1, true)
), offsets_of_day as materialized (
  select t, extract(timezone from t)::int as o
  from generate_series('${TABLE_FROM}'::timestamptz, '${TABLE_TO}'::timestamptz,
                       interval '24 hours') as g(t), zone
), day_changes as (
  select t, o, lag(o) over (order by t) as before, lag(t) over (order by t) as previous
  from offsets_of_day
), hours as (
  select h, extract(timezone from h)::int as o,
         d.previous
  from day_changes d,
       generate_series(d.previous, d.t, interval '1 hour') as g(h)
  where d.o <> d.before
), hour_changes as (
  select h, o, lag(o) over w as before, lag(h) over w as previous
  from hours window w as (partition by previous order by h)
), minutes as (
  select m, extract(timezone from m)::int as o,
         c.previous
  from hour_changes c, generate_series(c.previous, c.h, interval '1 minute') as g(m)
  where c.o <> c.before
), minute_changes as (
  select m, o, lag(o) over w as before, lag(m) over w as previous
  from minutes window w as (partition by previous order by m)
), seconds as (
  select s, extract(timezone from s)::int as o,
         c.previous
  from minute_changes c, generate_series(c.previous, c.m, interval '1 second') as g(s)
  where c.o <> c.before
), second_changes as (
  select s, o, lag(o) over w as before
  from seconds window w as (partition by previous order by s)
)
select extract(epoch from t)::bigint::text, o::text from offsets_of_day
where t = '${TABLE_FROM}'::timestamptz
union all
select extract(epoch from s)::bigint::text, o::text from second_changes where o <> before
union all
select extract(epoch from '${TABLE_TO}'::timestamptz)::bigint::text, null`

export class ZoneCatalog {
  readonly #run: RunSql
  readonly #zones = new Map<string, Promise<ZoneOffsets>>()

  constructor(options: { readonly run: RunSql }) {
    this.#run = options.run
  }

  /** Throws SlipwayError when PostgreSQL does not know the zone or cannot be asked. */
  offsets(timeZone: string): Promise<ZoneOffsets> {
    if (isUtc(timeZone)) return Promise.resolve(UTC_OFFSETS)
    const known = this.#zones.get(timeZone)
    if (known !== undefined) return known
    if (this.#zones.size >= ZONES_MAX) this.#zones.clear()
    const loading = this.#load(timeZone)
    this.#zones.set(timeZone, loading)
    loading.catch(() => this.#zones.delete(timeZone))
    return loading
  }

  async #load(timeZone: string): Promise<ZoneOffsets> {
    const rows = await this.#run(CHANGES_SQL, [timeZone])
    const changes: ZoneChange[] = []
    let end: number | null = null
    for (const [since, offset] of rows) {
      if (offset === null || offset === undefined) end = Number(since)
      else changes.push({ since: Number(since), offset: Number(offset) })
    }
    if (changes.length === 0 || end === null) {
      throw new SlipwayError('internal', 'the time zone table came back empty')
    }
    changes.sort((a, b) => a.since - b.since)
    return new ZoneTable(changes, end)
  }
}

/** Names of UTC; PostgreSQL takes them in any case. */
export function isUtc(timeZone: string): boolean {
  return UTC_NAMES.has(timeZone.toUpperCase())
}

export const UTC_OFFSETS: ZoneOffsets = { at: () => 0 }

class ZoneTable implements ZoneOffsets {
  readonly #changes: readonly ZoneChange[]
  readonly #end: number
  /** Neighbouring rows mostly lie between the same two changes. */
  #last = 0

  constructor(changes: readonly ZoneChange[], end: number) {
    this.#changes = changes
    this.#end = end
  }

  at(micros: bigint): number | null {
    const second = Math.floor(Number(micros) / 1_000_000)
    if (second >= this.#end) return null
    if (second < this.#changes[0]!.since) return this.#changes[0]!.offset
    if (!this.#holds(this.#last, second)) this.#last = this.#find(second)
    return this.#changes[this.#last]!.offset
  }

  #holds(index: number, second: number): boolean {
    if (second < this.#changes[index]!.since) return false
    const next = this.#changes[index + 1]
    return next === undefined || second < next.since
  }

  #find(second: number): number {
    let low = 0
    let high = this.#changes.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.#changes[middle]!.since <= second) low = middle
      else high = middle - 1
    }
    return low
  }
}
