/**
 * Wire scripts: random sequences of messages that a client may send, in steps that each end in
 * a known number of ReadyForQuery, so that one script can be played to two servers.
 *
 * Tables: `items (id int PRIMARY KEY, g int, v text, n numeric(10,2))`, which nobody changes, and
 * a temporary one of the session's own, `mine (id int, t text)`, whose columns are read in
 * expressions only: a bare one would tell the table's OID.
 */
import fc from 'fast-check'
import { FRONTEND } from '../../src/pgwire/message-code.ts'
import { MessageWriter } from '../../src/pgwire/message-writer.ts'
import {
  bindMessage, closeStatement, describePortal, describeStatement, executeMessage, flushMessage,
  parseMessage, queryMessage, syncMessage,
} from '../gateway/wire-client.ts'

export interface WireStep {
  /** What it does, for the report of a failure. */
  readonly label: string
  readonly bytes: Buffer
  /** ReadyForQuery that answer it. */
  readonly readies: number
  /** After so many bytes the client gives the server time to answer. */
  readonly waitsAt?: number
}

/** Columnar under --route-cost-min 0; ordered, so that both engines answer alike. */
export const AGGREGATES = [
  'SELECT count(*), sum(id), min(v), max(n) FROM items',
  'SELECT g, count(*) AS n, sum(n) AS s FROM items GROUP BY g ORDER BY g',
  'SELECT a.g, count(*) FROM items a JOIN items b ON a.id = b.g GROUP BY a.g ORDER BY 1 DESC',
  'SELECT DISTINCT g FROM items ORDER BY g LIMIT 3',
] as const
const WITH_PARAMETER = 'SELECT g, sum(id) FROM items WHERE id > $1 GROUP BY g ORDER BY g'

const POINTS = [
  'SELECT v FROM items WHERE id = 7', 'SELECT 1 AS one, NULL::text, true', '', ';',
  'SHOW search_path', `SELECT id + 0, t || '' FROM mine ORDER BY 1`,
] as const
const CHANGES = [
  'BEGIN', 'COMMIT', 'ROLLBACK', 'SAVEPOINT s', 'ROLLBACK TO s', 'RELEASE s',
  `INSERT INTO mine VALUES (1, 'x') RETURNING id + 0`, 'DELETE FROM mine', 'DEALLOCATE ALL',
  'BEGIN ISOLATION LEVEL REPEATABLE READ', `SET application_name = 'played'`, 'DISCARD PLANS',
  'LISTEN here', `NOTIFY here, 'there'`, 'PREPARE s1 AS SELECT count(*) FROM items',
] as const
const MISTAKES = [
  'SELECT nothing FROM items', 'SELEC 1', 'SELECT sum(id / (g - g)) FROM items',
  'SELECT count(*) FROM missing', `SELECT sum(v::int) FROM items`, 'SELECT 1 +',
] as const
const SEVERAL = [
  `SELECT 1; ${AGGREGATES[0]}; SELECT 2`, `BEGIN; ${AGGREGATES[1]}`, 'SELECT 1; SELECT 1/0; BEGIN',
] as const

const texts = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom(...AGGREGATES) },
  { weight: 3, arbitrary: fc.constantFrom(...POINTS) },
  { weight: 4, arbitrary: fc.constantFrom(...CHANGES) },
  { weight: 2, arbitrary: fc.constantFrom(...MISTAKES) },
)
const statementNames = fc.constantFrom('', '', 's1', 's2')
const portalNames = fc.constantFrom('', '', 'p1')
const formats = fc.constantFrom<readonly number[]>([], [0], [1])

const simple = fc.oneof({ weight: 6, arbitrary: texts },
  { weight: 1, arbitrary: fc.constantFrom(...SEVERAL) })
  .map((sql): WireStep => ({ label: sql, bytes: queryMessage(sql), readies: 1 }))

/** What drivers send: one statement, described or not, with or without a parameter. */
const oneShot: fc.Arbitrary<WireStep> = fc.record({
  text: texts, name: statementNames, portal: portalNames, resultFormats: formats,
  parameter: fc.option(fc.integer({ min: -5, max: 250 })), describes: fc.boolean(),
  rowsMax: fc.constantFrom(0, 0, 0, 2),
}).map(({ text, name, portal, resultFormats, parameter, describes, rowsMax }): WireStep => {
  const sql = parameter === null ? text : WITH_PARAMETER
  const values = parameter === null ? [] : [String(parameter)]
  return { label: `one shot ${name}/${portal}: ${sql}`, readies: 1, bytes: Buffer.concat([
    parseMessage(name, sql), bindMessage({ statement: name, portal, values, resultFormats }),
    ...(describes ? [describePortal(portal)] : []), executeMessage(rowsMax, portal), syncMessage(),
  ]) }
})

/** Messages in any order, many of them mistakes: the server skips to Sync. */
const piece = fc.oneof(
  fc.tuple(statementNames, texts).map(([name, sql]) => parseMessage(name, sql)),
  fc.tuple(statementNames, portalNames, formats).map(([statement, portal, resultFormats]) =>
    bindMessage({ statement, portal, resultFormats })),
  statementNames.map((name) => describeStatement(name)),
  fc.constant(describePortal('p1')),
  fc.constantFrom(0, 0, 1).map((rowsMax) => executeMessage(rowsMax, 'p1')),
  // The unnamed portal is used by `again` only: a statement that fails where it is analysed
  // leaves PostgreSQL the older one, in a block that is aborted; behind a probe there is none.
  fc.tuple(statementNames, formats).map(([statement, resultFormats]) =>
    Buffer.concat([bindMessage({ statement, resultFormats }), executeMessage()])),
  statementNames.map((name) => closeStatement(name)),
  fc.constant(flushMessage()),
)
const jumble = fc.tuple(fc.array(piece, { maxLength: 6 }), fc.array(piece, { maxLength: 3 }))
  .map(([first, second]): WireStep => ({
    label: `jumble of ${[...first, ...second].map((bytes) => String.fromCharCode(bytes[0] ?? 0))
      .join('')}`,
    bytes: Buffer.concat([...first, syncMessage(), ...second, syncMessage()]), readies: 2,
  }))

/** As drivers begin a transaction: together with its first statement. */
const begun = fc.record({
  begin: fc.constantFrom('BEGIN', 'start transaction read only;', 'BEGIN READ NEVER'),
  kind: fc.constantFrom('query', 'unnamed', 'named'), first: oneShot,
}).map(({ begin, kind, first }): WireStep => {
  const name = kind === 'named' ? 's2' : ''
  const opening = kind === 'query' ? queryMessage(begin) : Buffer.concat([
    parseMessage(name, begin), bindMessage({ statement: name }), executeMessage()])
  return { ...first, label: `${begin} as ${kind}, then ${first.label}`,
    bytes: Buffer.concat([opening, first.bytes]), readies: kind === 'query' ? 2 : 1 }
})

/** Inside a block: the unnamed portal, once it has been run to its end or to a limit. */
const again = fc.record({
  text: fc.constantFrom(...AGGREGATES), rowsMax: fc.constantFrom(0, 0, 1), resultFormats: formats,
  uses: fc.array(fc.constantFrom('P', 'D', 'E', 'S', 'C'), { minLength: 1, maxLength: 6 }),
}).map(({ text, rowsMax, resultFormats, uses }): WireStep => {
  const messages = { P: parseMessage('', 'SELECT 1'), D: describePortal(), E: executeMessage(1),
    S: syncMessage(), C: closeStatement('s1') }
  return { label: `again: ${uses.join('')} of ${text}`,
    readies: 4 + uses.filter((use) => use === 'S').length,
    bytes: Buffer.concat([queryMessage('ROLLBACK'), queryMessage('BEGIN'), parseMessage('', text),
      bindMessage({ statement: '', resultFormats }), executeMessage(rowsMax), syncMessage(),
      ...uses.map((use) => messages[use]), syncMessage()]) }
})

/** Prepared and described, and run when the description has come. */
const described = fc.record({
  name: statementNames, text: texts, resultFormats: formats, rowsMax: fc.constantFrom(0, 1),
}).map(({ name, text, resultFormats, rowsMax }): WireStep => {
  const preparing = Buffer.concat([parseMessage(name, text), describeStatement(name),
    flushMessage()])
  return { label: `described ${name}: ${text}`, readies: 1, waitsAt: preparing.length,
    bytes: Buffer.concat([preparing, bindMessage({ statement: name, resultFormats }),
      executeMessage(rowsMax), syncMessage()]) }
})

const copyIn = fc.record({ rows: fc.nat({ max: 40 }), fails: fc.boolean() })
  .map(({ rows, fails }): WireStep => ({ label: `COPY of ${rows} rows`, readies: 1,
    bytes: Buffer.concat([queryMessage('COPY mine FROM STDIN'),
      ...Array.from({ length: rows }, (_, row) =>
        typed(FRONTEND.copyData, Buffer.from(`${row}\tcopied\n`))),
      fails ? typed(FRONTEND.copyFail, Buffer.from('enough\0'))
        : typed(FRONTEND.copyDone, Buffer.alloc(0))]) }))

const copyOut = fc.constantFrom('COPY items TO STDOUT', `COPY (${AGGREGATES[1]}) TO STDOUT (FORMAT
  binary)`, 'COPY missing TO STDOUT')
  .map((sql): WireStep => ({ label: sql, bytes: queryMessage(sql), readies: 1 }))

/** FunctionCall of abs(int4), OID 1397, by text. */
const call = fc.integer({ min: -1000, max: 1000 }).map((value): WireStep => {
  const text = Buffer.from(String(value))
  const body = new MessageWriter().begin(FRONTEND.functionCall).int32(1397).int16(0).int16(1)
    .int32(text.length).bytes(text).int16(0)
  return { label: `abs(${value})`, bytes: body.finish().take(), readies: 1 }
})

/** Several steps sent in one go: a pipeline. */
const pipeline = fc.array(fc.oneof(simple, oneShot, jumble, begun), { minLength: 2, maxLength: 4 })
  .map((steps): WireStep => ({
    label: `pipeline [${steps.map(({ label }) => label).join(' | ')}]`,
    bytes: Buffer.concat(steps.map(({ bytes }) => bytes)),
    readies: steps.reduce((sum, { readies }) => sum + readies, 0),
  }))

export const wireScript: fc.Arbitrary<readonly WireStep[]> = fc.array(fc.oneof(
  { weight: 4, arbitrary: simple }, { weight: 6, arbitrary: oneShot },
  { weight: 3, arbitrary: jumble }, { weight: 2, arbitrary: pipeline },
  { weight: 2, arbitrary: again }, { weight: 3, arbitrary: begun },
  { weight: 3, arbitrary: described },
  { weight: 1, arbitrary: copyIn }, { weight: 1, arbitrary: copyOut },
  { weight: 1, arbitrary: call },
), { minLength: 1, maxLength: 12 })

function typed(code: number, body: Buffer): Buffer {
  return new MessageWriter().begin(code).bytes(body).finish().take()
}
