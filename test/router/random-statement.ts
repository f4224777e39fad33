/**
 * RandomStatement: analytic SELECTs over two small tables, each made from one seed: typed
 * expressions, joins, subqueries, grouping, windows, set operations.
 */

export const RANDOM_TABLES = `
  create table l (id int primary key, i int, b bigint, s smallint, n numeric(12,2),
    m numeric(10,4), t text, c char(4), v varchar(8), d date, ts timestamp, tz timestamptz,
    ok boolean, f float8);
  create table r (id int primary key, i int, b bigint, s smallint, n numeric(12,2),
    m numeric(10,4), t text, c char(4), v varchar(8), d date, ts timestamp, tz timestamptz,
    ok boolean, f float8);
  insert into l select g, case when g % 7 = 0 then null else g % 5 - 2 end,
    case when g % 11 = 0 then null else g * 1000003 % 97 end, g % 3,
    case when g % 6 = 0 then null else (g * 37 % 1000 - 500) / 100.0 end, g * 13 % 50 / 8.0,
    (array['', 'a', 'ab', 'abc', 'B', 'a b', ' x ', 'é', null])[1 + g % 9],
    (array['p', 'q ', 'ab', null])[1 + g % 4], (array['one', 'two', 'three'])[1 + g % 3],
    date '2024-01-29' + g * 17 % 400, timestamp '2024-02-28 22:00' + g * interval '7 hours 5 min',
    timestamptz '2024-03-09 20:00+00' + g * interval '5 hours',
    case when g % 5 = 0 then null else g % 2 = 0 end, g / 4.0
    from generate_series(1, 40) g;
  insert into r select g, case when g % 4 = 0 then null else g % 6 - 2 end, g % 13, g % 4,
    (g * 53 % 700 - 300) / 100.0, case when g % 3 = 0 then null else g / 4.0 end,
    (array['a', 'abc', 'zz', 'B', null, 'x'])[1 + g % 6], (array['p', 'ab', 'zz'])[1 + g % 3],
    (array['one', 'six', null])[1 + g % 3], date '2024-02-10' + g * 11 % 300,
    timestamp '2023-12-31 23:59:59.5' + g * interval '11 days',
    timestamptz '2024-11-02 20:00+00' + g * interval '3 hours', g % 3 = 0, g / 2.0 - 3
    from generate_series(1, 25) g`

type Type = 'int' | 'num' | 'text' | 'date' | 'ts' | 'bool'
const TYPES: readonly Type[] = ['int', 'num', 'text', 'date', 'ts', 'bool']
const COLUMNS: Readonly<Record<Type, readonly string[]>> = {
  int: ['id', 'i', 'b', 's'], num: ['n', 'm'], text: ['t', 'c', 'v'], date: ['d'], ts: ['ts', 'tz'],
  bool: ['ok'],
}

export function randomStatement(seed: number): string {
  return new Writer(seed).statement()
}

class Writer {
  #state: number
  /** Aliases whose columns are in reach. */
  #scope: string[] = []

  constructor(seed: number) {
    this.#state = (seed ^ 0x9e3779b9) >>> 0
  }

  /** mulberry32. */
  #next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let x = this.#state
    x = Math.imul(x ^ (x >>> 15), x | 1)
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61)
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296
  }

  #below(limit: number): number { return Math.floor(this.#next() * limit) }
  #pick<T>(items: readonly T[]): T { return items[this.#below(items.length)] as T }
  #chance(share: number): boolean { return this.#next() < share }

  statement(): string {
    const kind = this.#below(10)
    if (kind < 4) return this.#grouped()
    if (kind < 7) return this.#plain()
    if (kind < 8) return this.#windowed()
    if (kind < 9) return this.#setOperation()
    return this.#nested()
  }

  #from(): string {
    const first = this.#pick(['l', 'r'])
    if (this.#chance(0.5)) {
      this.#scope = ['x']
      return `from ${first} x`
    }
    const join = this.#pick(['join', 'left join', 'right join', 'full join', 'cross join'])
    this.#scope = ['x', 'y']
    const on = join === 'cross join' ? '' : join === 'full join'
      ? ` on x.${this.#pick(['i', 'id', 's'])} = y.${this.#pick(['i', 'id', 's'])}`
      : ` on x.${this.#pick(['i', 'id', 's', 'b'])} = y.${this.#pick(['i', 'id', 's'])}`
        + (this.#chance(0.3) ? ` and ${this.#bool(1)}` : '')
    return `from ${first} x ${join} ${this.#pick(['l', 'r'])} y${on}`
  }

  #where(): string { return this.#chance(0.6) ? ` where ${this.#bool(2)}` : '' }

  #plain(): string {
    const from = this.#from()
    const list = this.#list(1 + this.#below(4), (type) => this.#value(type, 2))
    const distinct = this.#chance(0.3) ? 'distinct ' : ''
    const where = this.#where()
    const order = list.map((_, at) => `${at + 1}${this.#pick(['', ' desc', ' nulls first'])}`)
    const limit = this.#chance(0.3) ? ` limit ${1 + this.#below(8)}` : ''
    return `select ${distinct}${list.join(', ')} ${from}${where} `
      + `order by ${order.join(', ')}${limit}`
  }

  #grouped(): string {
    const from = this.#from()
    const keys = this.#chance(0.25) ? []
      : this.#list(1 + this.#below(2), (type) => this.#value(type, 1))
    const aggregates = Array.from({ length: 1 + this.#below(4) }, () => this.#aggregate())
    const where = this.#where()
    const having = this.#chance(0.25) ? ` having ${this.#aggregateTest()}` : ''
    const group = keys.length === 0 ? '' : this.#chance(0.15)
      ? ` group by rollup (${keys.map((_, at) => keys[at] ?? '').join(', ')})`
      : ` group by ${keys.map((_, at) => at + 1).join(', ')}`
    const all = [...keys, ...aggregates]
    return `select ${all.map((text, at) => `${text} as z${at}`).join(', ')} ${from}${where}${group}`
      + `${having} order by ${all.map((_, at) => at + 1).join(', ')}`
  }

  #windowed(): string {
    this.#scope = ['x']
    const table = this.#pick(['l', 'r'])
    const over = `over (partition by ${this.#value(this.#pick(['int', 'text', 'bool']), 1)} `
      + `order by x.id${this.#pick(['', ' desc'])}`
    const frame = this.#pick(['', ' rows between 2 preceding and current row',
      ' rows between unbounded preceding and 1 following',
      ' range between 3 preceding and 3 following'])
    const call = this.#pick([`row_number() ${over})`, `rank() ${over})`, `dense_rank() ${over})`,
      `lag(${this.#value('int', 1)}) ${over})`, `lead(${this.#value('text', 1)}, 2) ${over})`,
      `sum(${this.#value('int', 1)}) ${over}${frame})`,
      `sum(${this.#value('num', 1)}) ${over}${frame})`, `count(*) ${over}${frame})`,
      `avg(${this.#value('num', 1)}) ${over}${frame})`,
      `min(${this.#value('date', 1)}) ${over}${frame})`,
      `first_value(${this.#value('num', 1)}) ${over}${frame})`, `ntile(3) ${over})`])
    return `select x.id, ${call} as w from ${table} x${this.#where()} order by 1, 2`
  }

  #setOperation(): string {
    const types = Array.from({ length: 1 + this.#below(3) }, () => this.#pick(TYPES))
    const arm = (): string => {
      const from = this.#from()
      const list = types.map((type) => this.#value(type, 1))
      return `select ${list.join(', ')} ${from}${this.#where()}`
    }
    const operator = this.#pick(['union', 'union all', 'intersect', 'except', 'except all'])
    return `${arm()} ${operator} ${arm()} order by ${types.map((_, at) => at + 1).join(', ')}`
  }

  #nested(): string {
    const inner = this.#grouped().replace(/ order by [\d, ]+$/, '')
    const text = `select q.z0, count(*) from (${inner}) q group by q.z0 order by 1, 2`
    return this.#chance(0.5) ? text
      : `with q as (${inner}) select count(*), count(distinct q.z0), min(q.z0::text) from q`
  }

  #list(length: number, make: (type: Type) => string): string[] {
    return Array.from({ length }, () => make(this.#pick(TYPES)))
  }

  #aggregate(): string {
    const filter = this.#chance(0.2) ? ` filter (where ${this.#bool(1)})` : ''
    switch (this.#below(12)) {
      case 0: return `count(*)${filter}`
      case 1: return `count(${this.#value(this.#pick(TYPES), 1)})${filter}`
      case 2: return `count(distinct ${this.#value(this.#pick(TYPES), 1)})${filter}`
      case 3: return `sum(${this.#value('int', 2)})${filter}`
      case 4: return `sum(${this.#value('num', 2)})${filter}`
      case 5: return `avg(${this.#value(this.#pick(['int', 'num']), 2)})${filter}`
      case 6: case 7: {
        const type = this.#pick(['int', 'num', 'text', 'date', 'ts'] as const)
        return `${this.#pick(['min', 'max'])}(${this.#value(type, 1)})${filter}`
      }
      case 8: return `bool_and(${this.#bool(1)})${filter}`
      case 9: return `string_agg(${this.#value('text', 1)}, ',' order by x.id, x.t)${filter}`
      case 10: return `coalesce(sum(${this.#value('num', 1)})${filter}, 0)`
      default: return `${this.#pick(['stddev', 'variance', 'var_pop'])}(${this.#value('num', 1)})`
    }
  }

  #aggregateTest(): string {
    return this.#pick(['count(*) > 2', `sum(${this.#value('num', 1)}) > 0`,
      `avg(${this.#value('int', 1)}) <= 1.5`, `max(${this.#value('date', 1)}) is not null`])
  }

  #column(type: Type): string {
    return `${this.#pick(this.#scope)}.${this.#pick(COLUMNS[type])}`
  }

  #value(type: Type, depth: number): string {
    if (depth === 0 || this.#chance(0.35)) {
      return this.#chance(0.8) ? this.#column(type) : this.#constant(type)
    }
    if (this.#chance(0.12)) return this.#branch(type, depth)
    switch (type) {
      case 'int': return this.#int(depth)
      case 'num': return this.#num(depth)
      case 'text': return this.#text(depth)
      case 'date': return this.#date(depth)
      case 'ts': return this.#ts(depth)
      case 'bool': return this.#bool(depth)
    }
  }

  #branch(type: Type, depth: number): string {
    const a = (): string => this.#value(type, depth - 1)
    return this.#pick([
      () => `case when ${this.#bool(depth - 1)} then ${a()} else ${a()} end`,
      () => `case ${this.#value('int', depth - 1)} when 1 then ${a()} when 2 then ${a()} end`,
      () => `coalesce(${a()}, ${a()})`, () => `nullif(${a()}, ${a()})`,
      ...type === 'bool' ? [] : [() => `greatest(${a()}, ${a()})`, () => `least(${a()}, ${a()})`],
    ])()
  }

  #constant(type: Type): string {
    switch (type) {
      case 'int': return this.#pick(['0', '1', '-3', '7', '100', 'null::int'])
      case 'num': return this.#pick(['0', '1.5', '-2.25', '0.001', '10', '3.00',
      'null::numeric(8,3)'])
      case 'text': return this.#pick(['\'\'', '\'a\'', '\'abc \'', '\'é\'', 'null::text'])
      case 'date': return this.#pick(['date \'2024-02-29\'', 'date \'2023-12-31\''])
      case 'ts': return this.#pick(['timestamp \'2024-02-29 12:30:00.25\'',
      'timestamp \'2024-11-03\''])
      case 'bool': return this.#pick(['true', 'false', 'null::boolean'])
    }
  }

  #int(depth: number): string {
    const a = (): string => this.#value('int', depth - 1)
    return this.#pick([
      () => `(${a()} ${this.#pick(['+', '-', '*'])} ${a()})`,
      () => `(${a()} / ${this.#pick(['2', '-3', '7'])})`,
      () => `(${a()} % ${this.#pick(['2', '-3', '5'])})`, () => `abs(${a()})`, () => `(- ${a()})`,
      () => `length(${this.#value('text', depth - 1)})`,
      () => `extract(${this.#pick(['year', 'month', 'day', 'dow', 'doy', 'quarter', 'week'])} `
        + `from ${this.#value(this.#pick(['date', 'ts']), depth - 1)})::int`,
      () => `(${this.#value('date', depth - 1)} - ${this.#value('date', depth - 1)})`,
      () => `position('a' in ${this.#value('text', depth - 1)})`,
      () => `${this.#value('bool', depth - 1)}::int`, () => `${this.#value('num', depth - 1)}::int`,
      () => `(select ${this.#pick(['count(*)', 'max(k.i)', 'min(k.id)'])} from r k where k.i = `
        + `${this.#column('int')})`,
    ])()
  }

  #num(depth: number): string {
    const a = (): string => this.#value('num', depth - 1)
    return this.#pick([
      () => `(${a()} ${this.#pick(['+', '-', '*'])} ${a()})`,
      () => `(${a()} ${this.#pick(['+', '-', '*'])} ${this.#value('int', depth - 1)})`,
      () => `(${a()} / ${this.#pick(['2', '3.5', '-7', '0.3'])})`,
      () => `round(${a()}, ${this.#below(4)})`,
      () => `round(${a()})`, () => `abs(${a()})`,
      () => `${this.#pick(['ceil', 'floor', 'trunc'])}(${a()})`,
      () => `(${a()})::numeric(14,3)`, () => `(${this.#value('int', depth - 1)})::numeric(20,2)`,
      () => `(${a()} % 3)`, () => `extract(epoch from ${this.#column('date')})`, () => `(- ${a()})`,
      () => `(select ${this.#pick(['sum', 'max', 'avg'])}(k.n) from r k `
        + `where k.s = ${this.#column('int')})`,
    ])()
  }

  #text(depth: number): string {
    const a = (): string => this.#value('text', depth - 1)
    return this.#pick([
      () => `(${a()} || ${a()})`, () => `${this.#pick(['upper', 'lower'])}(${a()})`,
      () => `substr(${a()}, ${this.#below(4)}, ${this.#below(3)})`,
      () => `substring(${a()} from ${1 + this.#below(3)})`,
      () => `${this.#pick(['left', 'right'])}(${a()}, ${this.#below(5) - 2})`,
      () => `${this.#pick(['trim', 'ltrim', 'rtrim'])}(${a()})`,
      () => `replace(${a()}, 'a', ${a()})`,
      () => `${this.#pick(['lpad', 'rpad'])}(${a()}, ${this.#below(6)}, 'xy')`,
      () => `(${this.#value(this.#pick(['int', 'num', 'date', 'bool']), depth - 1)})::text`,
      () => `concat(${a()}, '-', ${this.#value('int', depth - 1)})`,
      () => `split_part(${a()}, 'b', 1)`,
      () => `to_char(${this.#value(this.#pick(['date', 'ts']), depth - 1)}, `
        + `'${this.#pick(['YYYY-MM-DD', 'YYYY-MM', 'HH24:MI:SS'])}')`,
      () => `(${a()})::varchar(2)`, () => `(${a()})::char(3)`, () => `md5(${a()})`,
    ])()
  }

  #date(depth: number): string {
    const a = (): string => this.#value('date', depth - 1)
    return this.#pick([() => `(${a()} + ${this.#below(40)})`, () => `(${a()} - ${this.#below(40)})`,
      () => `(${this.#value('ts', depth - 1)})::date`,
      () => `date_trunc('month', ${this.#value('ts', depth - 1)})::date`])()
  }

  #ts(depth: number): string {
    const a = (): string => this.#value('ts', depth - 1)
    return this.#pick([
      () => `(${a()} ${this.#pick(['+', '-'])} interval '${this.#pick(['1 day', '1 month',
        '36 hours', '1 year', '90 minutes'])}')`,
      () => `(${this.#value('date', depth - 1)} + interval '${this.#pick(['1 month', '5 days'])}')`,
      () => `date_trunc('${this.#pick(['year', 'quarter', 'month', 'week', 'day', 'hour'])}', `
        + `${a()})`,
      () => `(${this.#value('date', depth - 1)})::timestamp`,
    ])()
  }

  #bool(depth: number): string {
    if (depth === 0) return this.#column('bool')
    const type = this.#pick(TYPES)
    const a = (): string => this.#value(type, depth - 1)
    return this.#pick([
      () => `(${a()} ${this.#pick(['=', '<>', '<', '<=', '>', '>='])} ${a()})`,
      () => `(${a()} ${this.#pick(['=', '<>', '<', '>'])} ${a()})`,
      () => `(${this.#bool(depth - 1)} ${this.#pick(['and', 'or'])} ${this.#bool(depth - 1)})`,
      () => `(not ${this.#bool(depth - 1)})`, () => `(${a()} is ${this.#pick(['', 'not '])}null)`,
      () => `(${a()} is ${this.#pick(['', 'not '])}distinct from ${a()})`,
      () => `(${a()} ${this.#pick(['', 'not '])}in (${a()}, ${a()}))`,
      () => `(${a()} between ${a()} and ${a()})`,
      () => `(${this.#value('text', depth - 1)} ${this.#pick(['like', 'not like', 'ilike'])} `
        + `'${this.#pick(['a%', '%b', '_', '%a%', 'a\\_%', ''])}')`,
      () => `(${this.#column('int')} ${this.#pick(['', 'not '])}in (select k.i from r k`
        + `${this.#pick(['', ' where k.i is not null', ' where k.s = 2'])}))`,
      () => `${this.#pick(['', 'not '])}exists (select 1 from l k `
        + `where k.i = ${this.#column('int')} and k.n > ${this.#value('num', depth - 1)})`,
      () => `(${this.#bool(depth - 1)} is ${this.#pick(['true', 'not true', 'unknown', 'false'])})`,
    ])()
  }
}
