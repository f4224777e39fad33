/** Data files and checkpoints for tests of the Delta library, written by our own olap room. */
import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AddFile, Metadata, PartitionValues } from '../../src/delta/actions.ts'
import { CheckpointWriter } from '../../src/delta/checkpoint-writer.ts'
import { physicalName } from '../../src/delta/column-mapping.ts'
import { encodeDataPath } from '../../src/delta/data-path.ts'
import { readDeletionVector } from '../../src/delta/deletion-vector.ts'
import { partitionFolder } from '../../src/delta/partitioning.ts'
import type { DataType, StructType } from '../../src/delta/schema.ts'
import type { Snapshot } from '../../src/delta/snapshot.ts'
import { buildStats, statValueOf } from '../../src/delta/stats.ts'
import { deltaRelation } from '../../src/olap/delta-relation.ts'
import { DeltaRewriter } from '../../src/olap/delta-rewriter.ts'
import { DuckDb } from '../../src/olap/duckdb.ts'
import { copyToParquet } from '../../src/olap/parquet-writer.ts'
import { LocalStorage } from '../../src/storage/local.ts'

/** A folder of its own and a DuckDB that may write into it. */
export class DeltaLab implements AsyncDisposable {
  readonly folder: string
  readonly duckdb: DuckDb
  readonly checkpoints = new CheckpointWriter()
  readonly rewriter: DeltaRewriter

  private constructor(folder: string, duckdb: DuckDb) {
    this.folder = folder
    this.duckdb = duckdb
    this.rewriter = new DeltaRewriter(duckdb)
  }

  /** `others`: more folders that its DuckDB may read. */
  static async open(others: readonly string[] = []): Promise<DeltaLab> {
    const folder = await mkdtemp(join(tmpdir(), 'slipway delta '))
    const duckdb = await DuckDb.open({ threads: 1, memoryLimit: '1GB',
      tempDirectory: join(folder, 'spill'), directories: [folder, ...others], macros: [] })
    return new DeltaLab(folder, duckdb)
  }

  storage(name: string): LocalStorage {
    return new LocalStorage({ root: join(this.folder, name) })
  }

  /** Runs SELECT; its columns must be those of the schema, in order. */
  async writeFile(storage: LocalStorage, schema: StructType, select: string,
    partition?: { readonly metadata: Metadata; readonly values: PartitionValues })
    : Promise<AddFile> {
    const connection = await this.duckdb.connect()
    try {
      const folder = partition === undefined ? ''
        : partitionFolder(partition.metadata, partition.values)
      const path = `${folder}part-${randomUUID()}.parquet`
      await mkdir(join(storage.root, folder), { recursive: true })
      const names = schema.fields.map(physicalName)
      const list = names.map((name, at) => `column${at} AS "${name.replaceAll('"', '""')}"`)
      const [file] = await copyToParquet(connection, {
        select: `SELECT ${list.join(', ')} FROM (${select}) AS s(`
          + `${names.map((_, at) => `column${at}`).join(', ')})`,
        columns: schema.fields.map((field, at) => ({ attnum: at + 1,
          physicalName: names[at] ?? '', mirror: { kind: kindOf(field.type) } })),
        target: { kind: 'file', path: storage.localPath(path) },
      })
      if (file === undefined) throw new Error('COPY returned nothing')
      await storage.sync(path)
      return { path: encodeDataPath(path), partitionValues: partition?.values ?? {},
        size: file.sizeBytes, modificationTime: Date.now(), dataChange: true,
        stats: statsOf(schema, file.rows, file.columns) }
    } finally {
      connection.closeSync()
    }
  }

  /** The snapshot's rows as JSON texts, sorted: what the files hold less their vectors. */
  async rows(storage: LocalStorage, snapshot: Snapshot): Promise<readonly string[]> {
    const connection = await this.duckdb.connect()
    const { fields } = snapshot.schema
    const { partitionColumns } = snapshot.metadata
    try {
      const rows: string[] = []
      for (const add of snapshot.files()) {
        const path = storage.localPath(decodeURIComponent(add.path))
        const dead = add.deletionVector === undefined ? null
          : await readDeletionVector(storage, add.deletionVector)
        const list = fields.map((field, at) => partitionColumns.includes(field.name)
          ? `${quoted(add.partitionValues[physicalName(field)] ?? null)} AS c${at}`
          : `"${physicalName(field).replaceAll('"', '""')}" AS c${at}`)
        const relation = deltaRelation([path],
          fields.filter((field) => !partitionColumns.includes(field.name)), 'none')
        const result = await connection.runAndReadAll(`SELECT ${list.join(', ')}, `
          + `file_row_number FROM ${relation}`)
        for (const row of result.getRowsJson()) {
          if (dead?.has(Number(row.at(-1))) !== true) rows.push(JSON.stringify(row.slice(0, -1)))
        }
      }
      return rows.sort()
    } finally {
      connection.closeSync()
    }
  }

  async query(sql: string): Promise<readonly (readonly string[])[]> {
    const connection = await this.duckdb.connect()
    try {
      const result = await connection.runAndReadAll(sql)
      return result.getRows().map((row) => row.map(String))
    } finally {
      connection.closeSync()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.duckdb[Symbol.asyncDispose]()
    await rm(this.folder, { recursive: true, force: true })
  }
}

function quoted(text: string | null): string {
  return text === null ? 'NULL' : `'${text.replaceAll("'", "''")}'`
}

/** Parquet's encodings are chosen by whether a column is a float. */
function kindOf(type: DataType): 'float8' | 'text' {
  return type === 'float' || type === 'double' ? 'float8' : 'text'
}

function statsOf(schema: StructType, rows: number, columns: readonly {
  readonly physicalName: string; readonly min: string | null; readonly max: string | null
  readonly nullCount: number | null; readonly hasNaN: boolean }[]): string {
  return buildStats({ numRecords: rows, tightBounds: true,
    columns: columns.map((column) => {
      const field = schema.fields.find((one) => physicalName(one) === column.physicalName)
      const type = typeof field?.type === 'string' ? field.type : 'array'
      return { path: [column.physicalName], nullCount: column.nullCount, hasNaN: column.hasNaN,
        min: column.min === null ? null : statValueOf(type, column.min),
        max: column.max === null ? null : statValueOf(type, column.max) }
    }) })
}
