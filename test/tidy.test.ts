/**
 * Tidy: what STYLE.md asks of every file, checked.
 *
 * Sizes, line length, names, the direction of imports, no barrels, no left-over `only` or
 * `skip`, no dead files.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'

const FILE_LINES_MAX = 500
const FUNCTION_LINES_MAX = 70
const LINE_COLUMNS_MAX = 100

/** A room imports rooms of lower rank only; base may import base. */
const RANKS: Readonly<Record<string, number>> = {
  base: 0, mirror: 1, config: 2, storage: 2, pgwire: 2, router: 2, delta: 3, oltp: 4, olap: 4,
  'delta-sync': 4, query: 5, gateway: 6, http: 6, workers: 7, supervisor: 8, cli: 9, main: 10,
}
const FORBIDDEN_NAMES = /^(index|utils?|common|helpers?|misc)\b/

/** Files that are started by name: a process, a package export or a configuration. */
const ENTRIES = [
  /^src\/main\/slipway\.ts$/, /^src\/delta\/api\.ts$/, /^src\/workers\//, /^bench\/[\w-]+\.ts$/,
  /\.test\.ts$/, /^test\/support\/global-setup\.ts$/, /^vitest\.config\.ts$/,
]

interface Source {
  readonly path: string
  readonly text: string
  readonly tree: ts.SourceFile
}

const SOURCES: readonly Source[] = ['src', 'test', 'bench'].flatMap(typescriptFiles)
  .map((path) => {
    const text = readFileSync(path, 'utf8')
    return { path, text, tree: ts.createSourceFile(path, text, ts.ScriptTarget.ES2023, true) }
  })

function typescriptFiles(folder: string): readonly string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts')).map((name) => join(folder, name)).sort()
}

describe('tidy', () => {
  it(`files have fewer than ${FILE_LINES_MAX} lines`, () => {
    const long = SOURCES.map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 }))
      .filter(({ lines }) => lines >= FILE_LINES_MAX)
    expect(long).toEqual([])
  })

  it(`lines have at most ${LINE_COLUMNS_MAX} columns`, () => {
    const long = SOURCES.flatMap(({ path, text }) => text.split('\n')
      .map((line, i) => ({ at: `${path}:${i + 1}`, columns: [...line].length }))
      .filter(({ columns }) => columns > LINE_COLUMNS_MAX))
    expect(long).toEqual([])
  })

  it(`functions have fewer than ${FUNCTION_LINES_MAX} lines`, () => {
    expect(SOURCES.filter(({ path }) => !path.endsWith('.test.ts')).flatMap(longFunctions))
      .toEqual([])
  })

  it('imports go down the layers only', () => {
    expect(SOURCES.filter(({ path }) => path.startsWith('src/')).flatMap(upwardImports))
      .toEqual([])
  })

  it('the program does not import tests or benches', () => {
    const wrong = SOURCES.filter(({ path }) => path.startsWith('src/'))
      .flatMap((source) => localImports(source).filter((target) => !target.startsWith('src/'))
        .map((target) => `${source.path} -> ${target}`))
    expect(wrong).toEqual([])
  })

  it('every room is known, and no file is named after nothing', () => {
    const rooms = readdirSync('src')
    expect(rooms.filter((room) => RANKS[room] === undefined)).toEqual([])
    const named = SOURCES.flatMap(({ path }) => path.split('/').slice(1)
      .filter((part) => FORBIDDEN_NAMES.test(part)).map(() => path))
    expect(named).toEqual([])
  })

  it('no barrels: a file that only re-exports', () => {
    const barrels = SOURCES.filter(({ path }) => path !== 'src/delta/api.ts')
      .filter(({ tree }) => tree.statements.length > 0
        && tree.statements.every((statement) => ts.isExportDeclaration(statement)
          && statement.moduleSpecifier !== undefined))
    expect(barrels.map(({ path }) => path)).toEqual([])
  })

  it('no dead files: each is imported or started by name', () => {
    const imported = new Set(SOURCES.flatMap(localImports))
    const started = SOURCES.map(({ text }) => text).join('\n')
    const dead = SOURCES.filter(({ path }) => !imported.has(path)
      && !ENTRIES.some((entry) => entry.test(path))
      && !started.includes(`/${path.split('/').at(-1)?.replace(/\.ts$/, '') ?? ''}.`))
    expect(dead.map(({ path }) => path)).toEqual([])
  })

  it('no test is left out or alone, nothing is left to do', () => {
    const left = SOURCES.filter(({ path }) =>
      path !== 'test/tidy.test.ts' && path !== 'test/support/requires.ts')
      .flatMap(({ path, text }) => text.split('\n').flatMap((line, i) =>
        /\b(it|test|describe)\.(only|skip|todo)\b|\b(TODO|FIXME|XXX)\b/.test(line)
          ? [`${path}:${i + 1}`] : []))
    expect(left).toEqual([])
  })

  it('every file of the program opens with what it is', () => {
    const silent = SOURCES.filter(({ path, text }) =>
      path.startsWith('src/') && !/^(#!.*\n)?\/\*\*/.test(text))
    expect(silent.map(({ path }) => path)).toEqual([])
  })
})

function localImports({ path, tree }: Source): readonly string[] {
  return tree.statements.flatMap((statement) => {
    const named = ts.isImportDeclaration(statement) || ts.isExportDeclaration(statement)
      ? statement.moduleSpecifier : undefined
    if (named === undefined || !ts.isStringLiteral(named)) return []
    if (!named.text.startsWith('.')) return []
    return [relative('.', resolve(dirname(path), named.text))]
  })
}

function upwardImports(source: Source): readonly string[] {
  const room = source.path.split('/')[1] ?? ''
  return localImports(source).flatMap((target) => {
    const other = target.split('/')[1] ?? ''
    const allowed = other === room || (RANKS[other] ?? 99) < (RANKS[room] ?? -1)
    return allowed ? [] : [`${source.path} -> ${target}`]
  })
}

function longFunctions({ path, tree }: Source): readonly string[] {
  const found: string[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && 'body' in node && node.body !== undefined) {
      const first = tree.getLineAndCharacterOfPosition(node.getStart(tree)).line
      const last = tree.getLineAndCharacterOfPosition(node.getEnd()).line
      const lines = last - first + 1
      if (lines >= FUNCTION_LINES_MAX) found.push(`${path}:${first + 1} (${lines} lines)`)
    }
    ts.forEachChild(node, visit)
  }
  visit(tree)
  return found
}
