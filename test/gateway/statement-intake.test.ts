/** StatementText, DecisionMemory, PreparedStatements, ExchangeState: the small rules. */
import { describe, expect, it } from 'vitest'
import { DecisionMemory } from '../../src/gateway/decision-memory.ts'
import { ExchangeState } from '../../src/gateway/exchange-state.ts'
import { PreparedStatements, type PreparedStatement }
  from '../../src/gateway/prepared-statements.ts'
import {
  explainRoutePrefix, isSingleStatement, mayBeRead, mentionsSlipway, opensBlock, readsRelation,
} from '../../src/gateway/statement-text.ts'

const text = (value: string): Buffer => Buffer.from(value)

describe('StatementText', () => {
  it('EXPLAIN (ROUTE) and its length', () => {
    expect(explainRoutePrefix(text('EXPLAIN (ROUTE) SELECT 1'))).toBe(16)
    expect(explainRoutePrefix(text('\n explain(route)select 1'))).toBe(16)
    for (const other of ['EXPLAIN SELECT 1', 'EXPLAIN (ANALYZE) SELECT 1', 'SELECT 1', '', 'e']) {
      expect(explainRoutePrefix(text(other))).toBeNull()
    }
  })

  it('one statement, with or without its semicolon', () => {
    for (const one of ['SELECT 1', 'SELECT 1;', 'SELECT 1 ; \n;']) {
      expect(isSingleStatement(text(one))).toBe(true)
    }
    expect(isSingleStatement(text('SELECT 1; SELECT 2'))).toBe(false)
  })

  it('reads of a table', () => {
    for (const read of ['select a from t', '(SELECT a FROM t)',
      '-- why\nWITH x AS (SELECT 1 FROM t)',
      '/* a */ table t', '((select 1 from t) union (select 2 from u))']) {
      expect(readsRelation(text(read)), read).toBe(true)
    }
    for (const other of ['select 1', 'insert into t select a from u', 'show x', 'values (1)']) {
      expect(readsRelation(text(other)), other).toBe(false)
    }
  })

  it('the beginning of a read, cut anywhere', () => {
    const wholes = ['  SELECT', 'with', '-- x\n/* y */select', '((select', 'EXPLAIN (ROUTE)']
    for (const whole of wholes) {
      for (let at = 0; at <= whole.length; at++) {
        expect(mayBeRead(text(whole.slice(0, at))), whole.slice(0, at)).toBe(true)
      }
    }
    for (const other of ['INSERT INTO', 'sel1', 'selectx', 'update']) {
      expect(mayBeRead(text(other)), other).toBe(false)
    }
  })

  it('what opens a block, and nothing else', () => {
    for (const one of ['BEGIN', 'begin;', ' /* a */ Begin Work', 'start transaction read only',
      'BEGIN TRANSACTION ISOLATION LEVEL repeatable read, READ ONLY, NOT DEFERRABLE ;\n']) {
      expect(opensBlock(text(one)), one).toBe(true)
    }
    for (const other of ['', 'b', 'BEGIN; SELECT 1', 'BEGINNING', 'start', 'START SLAVE',
      'begin $1', 'select 1', `begin${' work'.repeat(100)}`]) {
      expect(opensBlock(text(other)), other).toBe(false)
    }
  })

  it('our settings', () => {
    expect(mentionsSlipway(text(`SET slipway.route = 'columnar'`))).toBe(true)
    expect(mentionsSlipway(text(`set SLIPWAY.ROUTE to auto`))).toBe(true)
    expect(mentionsSlipway(text('SELECT slip.way FROM slipway'))).toBe(false)
  })
})

describe('DecisionMemory', () => {
  it('forgets in time, and the oldest first', () => {
    let now = 0
    const memory = new DecisionMemory({ clock: { now: () => now }, entriesMax: 2, ttlMs: 10 })
    memory.remember('a')
    now = 5
    memory.remember('b')
    expect([memory.has('a'), memory.has('b')]).toEqual([true, true])
    now = 10
    expect([memory.has('a'), memory.has('b')]).toEqual([false, true])
    memory.remember('c')
    memory.remember('d')
    expect(['b', 'c', 'd'].map((key) => memory.has(key))).toEqual([false, true, true])
  })
})

describe('PreparedStatements', () => {
  const statement = (name: string, sql = 'select'): PreparedStatement => ({
    name, sql: text(sql), parameterTypes: [], memoryKey: '', explainPrefix: null,
    opensBlock: false })

  it('a statement is usable once accepted, and not after an error', () => {
    const statements = new PreparedStatements()
    statements.sent(statement('a'))
    expect(statements.usable('a')).toBeNull()
    statements.serverReady()
    expect(statements.usable('a')).not.toBeNull()
    statements.sent(statement('a', 'other'))
    statements.serverError()
    statements.serverReady()
    expect(statements.usable('a')).toBeNull()
    expect(statements.size).toBe(0)
  })

  it('a statement sent behind an error may have been skipped', () => {
    const statements = new PreparedStatements()
    statements.serverError()
    statements.sent(statement('a'))
    statements.sent(statement(''))
    statements.serverReady()
    expect([statements.usable('a'), statements.usable('')]).toEqual([null, null])
    expect(statements.hasUnnamed).toBe(true)
    statements.sent(statement('a'))
    statements.serverReady()
    expect(statements.usable('a')).not.toBeNull()
  })

  it('is bounded', () => {
    const statements = new PreparedStatements()
    for (let i = 0; i < 3000; i++) statements.sent(statement(`s${i}`))
    statements.serverReady()
    expect(statements.size).toBe(1000)
    statements.forgetAll()
    expect(statements.size).toBe(0)
  })
})

describe('ExchangeState', () => {
  const started = (): ExchangeState => {
    const state = new ExchangeState()
    state.serverReady('I')
    return state
  }

  it('is idle when everything is answered', () => {
    const state = new ExchangeState()
    expect(state.isIdle).toBe(false)
    state.serverReady('I')
    expect(state.isIdle).toBe(true)
    state.clientExtended(true)
    expect(state.isIdle).toBe(false)
    state.clientSync()
    state.clientQuery()
    state.serverReady('T')
    expect(state.isIdle).toBe(false)
    state.serverReady('T')
    expect([state.isIdle, state.status]).toEqual([true, 'T'])
  })

  it('is paused when what was prepared is answered, until something runs', () => {
    const state = started()
    state.clientExtended(false)
    state.clientExtended(false)
    state.clientFlush()
    state.serverAnswered()
    expect(state.takesOurs).toBe(false)
    state.serverAnswered()
    expect([state.isIdle, state.isPaused, state.takesOurs]).toEqual([false, true, true])
    state.clientExtended(true)
    state.serverAnswered()
    expect(state.takesOurs).toBe(false)
    state.clientSync()
    state.serverReady('I')
    expect([state.isIdle, state.isPaused]).toEqual([true, false])
  })

  it('is not paused by a refusal, nor by what was sent before an older answer came', () => {
    const refused = started()
    refused.clientExtended(false)
    refused.serverError()
    expect([refused.isPaused, refused.awaitsAnswer]).toEqual([false, false])
    const pipelined = started()
    pipelined.clientQuery()
    pipelined.clientExtended(false)
    pipelined.serverReady('I')
    pipelined.serverAnswered()
    expect(pipelined.takesOurs).toBe(false)
  })

  it('is paused in the block that was opened', () => {
    const state = started()
    state.clientOpens()
    for (const isRun of [false, true, true]) state.clientExtended(isRun)
    for (let answers = 0; answers < 3; answers++) {
      expect([state.isPaused, state.awaitsAnswer]).toEqual([false, true])
      state.serverAnswered()
    }
    state.serverCommandComplete()
    expect([state.isPaused, state.awaitsAnswer, state.status]).toEqual([true, false, 'T'])
  })

  it('COPY in by Execute: the Sync sent along is not answered, the one behind is', () => {
    const state = started()
    state.clientExtended(true)
    state.clientSync()
    state.serverCopyIn()
    state.clientSync()
    state.clientCopyEnd()
    state.clientSync()
    expect(state.isIdle).toBe(false)
    state.serverReady('I')
    expect(state.isIdle).toBe(true)
  })

  it('COPY in by Query needs no Sync', () => {
    const state = started()
    state.clientQuery()
    state.serverCopyIn()
    state.clientCopyEnd()
    state.serverReady('I')
    expect(state.isIdle).toBe(true)
  })

  it('is never idle again once it is a splice only', () => {
    const state = started()
    state.spliceOnly()
    expect(state.isIdle).toBe(false)
  })
})
