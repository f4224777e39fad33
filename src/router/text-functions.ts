/**
 * TextFunctions: LIKE, substrings and the other text functions that are proven equal.
 *
 * T1  char(n) is stored trimmed: a function that would see its padding pads it again.
 * T2  Case mapping raises on the code points where the engines' Unicode tables differ.
 */
import {
  type Call, type Rule, type RuleTable, arg, intConstant, rules, textConstant,
} from './call.ts'
import { refuseUnlessDeterministic, refuseUnlessUnicodeCase } from './collation.ts'
import { type Expr, type PlainExpr, bool, cast, plain } from './expr.ts'
import { quote } from './literal.ts'
import { refuse } from './refusal.ts'
import { duckdbPattern, duckdbReplacement } from './regular-expression.ts'

const TEXT = { kind: 'text' } as const
const INT4 = { kind: 'int4' } as const

/** The argument as PostgreSQL's function sees it: char(n) with its blanks. */
function paddedArg(call: Call, index: number): PlainExpr {
  const value = arg(call, index)
  if (value.repr.kind !== 'bpchar') return value
  if (value.repr.length === null) refuse('a char(n) value of unknown length is padded')
  return plain(`rpad(${value.sql}, ${value.repr.length}, ' ')`, TEXT)
}

/** Casts of char(n) and relabels give text; what else comes here is no text. */
function textArg(call: Call, index: number): string {
  const value = arg(call, index)
  if (value.repr.kind !== 'text' && value.repr.kind !== 'bpchar') {
    refuse('a text function is applied to another type')
  }
  return value.sql
}

function like(options: { readonly not: boolean; readonly fold: boolean }): Rule {
  return (call) => {
    const value = paddedArg(call, 0)
    const pattern = textConstant(call, 1, 'the pattern of LIKE')
    refuseUnlessDeterministic(call.collation)
    if (/(?:^|[^\\])(?:\\\\)*\\$/.test(pattern)) refuse('the pattern of LIKE ends with a backslash')
    if (options.fold) refuseUnlessUnicodeCase(call.collation, call.context)
    const fold = (sql: string): string => options.fold ? `slipway.lower_text(${sql})` : sql
    const escape = pattern.includes('\\') ? ` ESCAPE '\\'` : ''
    const not = options.not ? 'NOT ' : ''
    return bool(`(${fold(value.sql)} ${not}LIKE ${fold(quote(pattern))}${escape})`)
  }
}

function matches(not: boolean): Rule {
  return (call) => {
    const value = paddedArg(call, 0)
    const pattern = duckdbPattern(textConstant(call, 1, 'a regular expression'))
    refuseUnlessDeterministic(call.collation)
    return bool(`(${not ? 'NOT ' : ''}regexp_matches(${value.sql}, ${quote(pattern)}, 's'))`)
  }
}

const regexpReplace: Rule = (call) => {
  const value = textArg(call, 0)
  const flags = call.args.length > 3 ? textConstant(call, 3, 'the flags of a function') : ''
  if (flags !== '' && flags !== 'g') refuse('these flags of regexp_replace')
  const pattern = textConstant(call, 1, 'a regular expression')
  const replacement = textConstant(call, 2, 'a replacement')
  const safe = duckdbReplacement(pattern, replacement, flags === 'g')
  return plain(`regexp_replace(${value}, ${quote(safe.pattern)}, ${quote(safe.replacement)}, ` +
    `'s${flags}')`, TEXT)
}

/** DuckDB's text lengths are BIGINT, PostgreSQL's int4. */
function int4Function(name: string): Rule {
  return (call) => {
    const args = call.args.map((_, index) => arg(call, index).sql).join(', ')
    return plain(cast(`${name}(${args})`, 'INTEGER'), INT4)
  }
}

const substring: Rule = (call) => {
  const value = textArg(call, 0)
  const from = arg(call, 1), length = call.args.length > 2 ? arg(call, 2) : null
  const fixed = from.constant?.kind === 'int' && from.constant.value >= 1n &&
    (length === null || (length.constant?.kind === 'int' && length.constant.value >= 0n))
  const args = [value, from.sql, ...(length === null ? [] : [length.sql])].join(', ')
  const name = length === null ? 'slipway.substring_from' : 'slipway.substring_for'
  return plain(`${fixed ? 'substring' : name}(${args})`, TEXT)
}

const concatenate: Rule = (call) => {
  const sides = call.args.map((_, index) => {
    const value = arg(call, index)
    if (value.repr.kind === 'text') return value.sql
    if (/^int[248]$/.test(value.repr.kind)) return cast(value.sql, 'VARCHAR')
    return refuse('|| of text and this type')
  })
  return plain(`(${sides.join(' || ')})`, TEXT)
}

const padded = (name: string): Rule => (call) => {
  const value = textArg(call, 0), length = intConstant(call, 1, 'the length of a padding')
  const fill = call.args.length > 2 ? textConstant(call, 2, 'the fill of a padding') : ' '
  if (length < 0 || length > 10_000 || fill === '') refuse('a padding of this form')
  return plain(`${name}(${value}, ${length}, ${quote(fill)})`, TEXT)
}

const splitPart: Rule = (call) => {
  const value = textArg(call, 0), by = textConstant(call, 1, 'the delimiter of split_part')
  const field = intConstant(call, 2, 'the field of split_part')
  if (by === '' || field === 0) refuse('split_part of this form')
  refuseUnlessDeterministic(call.collation)
  return plain(`split_part(${value}, ${quote(by)}, ${field})`, TEXT)
}

const replaceText: Rule = (call) => {
  const from = textConstant(call, 1, 'what replace() looks for')
  if (from === '') refuse('replace() of an empty text')
  return plain(`replace(${textArg(call, 0)}, ${quote(from)}, ${textArg(call, 2)})`, TEXT)
}

/** btrim family: without a set it is the blank alone, in both engines. */
const trim = (name: string): Rule => (call) => {
  const set = call.args.length > 1 ? textConstant(call, 1, 'the characters of a trim') : ' '
  if (set === '') return plain(textArg(call, 0), TEXT)
  return plain(`${name}(${textArg(call, 0)}, ${quote(set)})`, TEXT)
}

const startsWith: Rule = (call) => {
  refuseUnlessDeterministic(call.collation)
  return bool(`starts_with(${textArg(call, 0)}, ${textArg(call, 1)})`)
}

const position: Rule = (call) => {
  refuseUnlessDeterministic(call.collation)
  return plain(cast(`strpos(${textArg(call, 0)}, ${textArg(call, 1)})`, 'INTEGER'), INT4)
}

function caseMapping(name: string): Rule {
  return (call) => {
    refuseUnlessUnicodeCase(call.collation, call.context)
    return plain(`slipway.${name}(${textArg(call, 0)})`, TEXT)
  }
}

const leftRight = (name: string): Rule => (call) => {
  const count = intConstant(call, 1, `the length of ${name}()`)
  return plain(`${name}(${textArg(call, 0)}, ${count})`, TEXT)
}

const repeatText: Rule = (call) => {
  const times = intConstant(call, 1, 'the count of repeat()')
  if (times < 0 || times > 1000) refuse('repeat() of this count')
  return plain(`repeat(${textArg(call, 0)}, ${times})`, TEXT)
}

/** concat: NULLs are skipped; only text and integers, whose output is the same. */
const concat: Rule = (call) => {
  const args = call.args.map((_, index) => {
    const value = paddedArg(call, index)
    const known = value.repr.kind === 'text' || /^int[248]$/.test(value.repr.kind)
    if (!known) refuse('concat() of this type')
    return cast(value.sql, 'VARCHAR')
  })
  return plain(`concat(${args.join(', ')})`, TEXT)
}


/** By pg_operator OID. 1207–1208 are name, 1211–1212 and 1629–1630 char(n). */
export const TEXT_OPERATORS: RuleTable = rules(
  [[1207, 1209, 1211], like({ not: false, fold: false })],
  [[1208, 1210, 1212], like({ not: true, fold: false })],
  [[1625, 1627, 1629], like({ not: false, fold: true })],
  [[1626, 1628, 1630], like({ not: true, fold: true })],
  [[639, 641, 1055], matches(false)], [[640, 642, 1056], matches(true)],
  [[654, 2779, 2780], concatenate], [[3877], startsWith],
)

/** By pg_proc OID. */
export const TEXT_FUNCTIONS: RuleTable = rules(
  [[936, 877, 937, 883], substring],
  [[1317, 1381, 1369, 1318, 1372, 1367], int4Function('length')],
  [[720], int4Function('octet_length')],
  [[1374], (call) => plain(cast(`strlen(${textArg(call, 0)})`, 'INTEGER'), INT4)],
  [[1375], (call) => plain(cast(`strlen(${paddedArg(call, 0).sql})`, 'INTEGER'), INT4)],
  [[868, 849], position],
  [[870], caseMapping('lower_text')], [[871], caseMapping('upper_text')],
  [[884, 885], trim('trim')], [[875, 881], trim('ltrim')], [[876, 882], trim('rtrim')],
  [[2087], replaceText], [[3060], leftRight('left')], [[3061], leftRight('right')],
  [[873, 879], padded('lpad')], [[874, 880], padded('rpad')],
  [[2088], splitPart], [[3696], startsWith], [[1620], int4Function('ascii')],
  [[1622], repeatText], [[878], translateText],
  [[2311], (call) => plain(`md5(${textArg(call, 0)})`, TEXT)],
  [[3062], (call) => plain(`slipway.reverse_text(${textArg(call, 0)})`, TEXT)],
  [[3058], concat], [[2284, 2285], regexpReplace],
)

function translateText(call: Call): Expr {
  const from = textConstant(call, 1, 'the characters of translate()')
  const to = textConstant(call, 2, 'the characters of translate()')
  return plain(`translate(${textArg(call, 0)}, ${quote(from)}, ${quote(to)})`, TEXT)
}
