/** Drizzle: its migrator brings the tables, its query builder and relations use them. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { count, desc, eq, gt, relations, sql, sum } from 'drizzle-orm'
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import { migrate } from 'drizzle-orm/node-postgres/migrator'
import { integer, numeric, pgSchema, text, timestamp } from 'drizzle-orm/pg-core'
import pg from 'pg'
import type { DriverEndpoint, Transcript } from '../driver-endpoints.ts'
import { poll } from '../poll.ts'
import { temporaryFolder } from '../slipway.ts'

export async function playDrizzle(endpoint: DriverEndpoint): Promise<Transcript> {
  const { tls, schema, ...address } = endpoint
  const pool = new pg.Pool({ ...address, max: 3, options: `-c search_path=${schema}`,
    ...tls === null ? {} : { ssl: { ca: readFileSync(tls.ca), cert: readFileSync(tls.cert),
      key: readFileSync(tls.key) } } })
  const folder = migrations(schema)
  try {
    return await play(pool, schema, folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
    await pool.end()
  }
}

async function play(pool: pg.Pool, name: string, folder: string): Promise<Transcript> {
  const tables = tablesOf(name)
  const db = drizzle(pool, { schema: tables })
  const { authors, books } = tables
  const journal = { migrationsFolder: folder, migrationsSchema: name }
  await migrate(db, journal)
  await migrate(db, journal)
  const seen: Record<string, unknown> = {}
  seen['applied'] = (await db.execute(sql`SELECT hash FROM __drizzle_migrations ORDER BY id`)).rows
  await db.insert(authors).values(Array.from({ length: 50 }, (_, i) => ({ name: `a${i}`,
    born: new Date(Date.UTC(1900 + i, 0, 1)), tags: ['x', `t"${i}`] })))
  seen['inserted'] = await db.insert(books).values(Array.from({ length: 300 }, (_, i) => ({
    authorId: 1 + i % 50, title: `b${i}`, price: String(i / 4) }))).returning({ id: books.id })
  seen['upserted'] = await db.insert(authors).values({ name: 'a1', tags: [] })
    .onConflictDoUpdate({ target: authors.name, set: { tags: ['again'] } }).returning()
  await poll('both tables are mirrored', 20_000, async () => {
    const { rows } = await db.execute(sql`SELECT FROM slipway.tables
      WHERE schema_name = ${name} AND table_name IN ('authors', 'books') AND state = 'ready'`)
    return rows.length === 2 ? true : null
  })
  seen['totals'] = await db.select({ name: authors.name, books: count(), total: sum(books.price) })
    .from(books).innerJoin(authors, eq(authors.id, books.authorId)).groupBy(authors.name)
    .orderBy(desc(sum(books.price)), authors.name)
  seen['relations'] = await db.query.authors.findMany({ with: { books: true }, limit: 5,
    orderBy: authors.id })
  const prepared = db.select({ n: count() }).from(books)
    .where(gt(books.id, sql.placeholder('id'))).prepare('after')
  seen['prepared'] = [await prepared.execute({ id: 10 }), await prepared.execute({ id: 290 })]
  await transactions(db, tables, seen)
  return seen
}

async function transactions(
  db: NodePgDatabase<ReturnType<typeof tablesOf>>, { books }: ReturnType<typeof tablesOf>,
  seen: Record<string, unknown>,
): Promise<void> {
  const outcome = db.transaction(async (block) => {
    await block.delete(books)
    seen['own deletes'] = await block.select({ n: count() }).from(books)
    await block.transaction((inner) => inner.execute(sql`SELECT sum(1 / (id - id)) FROM items`))
      .catch((error: unknown) => { seen['savepoint'] = sqlStateOf(error) })
    block.rollback()
  })
  seen['outcome'] = await outcome.catch((error: unknown) => (error as Error).message)
  seen['rolled back'] = await db.select({ n: count() }).from(books)
}

function sqlStateOf(error: unknown): string | undefined {
  return ((error as Error).cause as pg.DatabaseError).code
}

/** Inferred: a table's type is its columns. */
function tablesOf(name: string) {
  const schema = pgSchema(name)
  const authors = schema.table('authors', {
    id: integer().primaryKey().generatedAlwaysAsIdentity(),
    name: text().notNull().unique(), born: timestamp({ withTimezone: true }),
    tags: text().array().notNull(),
  })
  const books = schema.table('books', {
    id: integer().primaryKey().generatedAlwaysAsIdentity(),
    authorId: integer('author_id').notNull().references(() => authors.id),
    title: text().notNull(), price: numeric({ precision: 12, scale: 2 }),
  })
  return { authors, books,
    authorRelations: relations(authors, ({ many }) => ({ books: many(books) })),
    bookRelations: relations(books, ({ one }) => ({
      author: one(authors, { fields: [books.authorId], references: [authors.id] }) })) }
}

/** A folder as drizzle-kit writes it. */
function migrations(schema: string): string {
  const folder = temporaryFolder('drizzle')
  mkdirSync(join(folder, 'meta'))
  const files = [`CREATE TABLE "${schema}"."authors" (
      "id" integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY, "name" text NOT NULL,
      "born" timestamp with time zone, "tags" text[] NOT NULL,
      CONSTRAINT "authors_name_unique" UNIQUE("name"));
    --> statement-breakpoint
    CREATE TABLE "${schema}"."books" (
      "id" integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY, "author_id" integer NOT NULL,
      "title" text NOT NULL);
    --> statement-breakpoint
    ALTER TABLE "${schema}"."books" ADD CONSTRAINT "books_author" FOREIGN KEY ("author_id")
      REFERENCES "${schema}"."authors"("id");`,
  `ALTER TABLE "${schema}"."books" ADD COLUMN "price" numeric(12, 2);`]
  const entries = files.map((_, idx) => ({ idx, version: '7', when: 1_700_000_000_000 + idx,
    tag: `000${idx}_step`, breakpoints: true }))
  files.forEach((text, idx) => { writeFileSync(join(folder, `000${idx}_step.sql`), text) })
  writeFileSync(join(folder, 'meta', '_journal.json'),
    JSON.stringify({ version: '7', dialect: 'postgresql', entries }))
  return folder
}
