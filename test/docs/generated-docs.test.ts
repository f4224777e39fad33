/** docs/errors.md and docs/config.md say what the code says; UPDATE_DOCS=1 writes them anew. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { ERROR_CATALOG, type CatalogEntry } from '../../src/base/errors.ts'
import {
  environmentName, flagName, OPTIONS, type OptionDeclaration,
} from '../../src/config/options.ts'

function errorsPage(): string {
  const rows = Object.entries(ERROR_CATALOG as Record<string, CatalogEntry>).map(([code, entry]) =>
    `| ${code} | ${entry.sqlState} | ${entry.httpStatus} | ${entry.retry} | ${entry.meaning} ` +
    `| ${entry.cure} |`)
  return ['# Errors', '',
    'Class `SW` is Slipway\'s own; the others are PostgreSQL\'s. Everything that PostgreSQL',
    'itself refuses keeps PostgreSQL\'s SQLSTATE and text.', '',
    '| code | SQLSTATE | HTTP | retry | what happened | what to do |',
    '|---|---|---|---|---|---|', ...rows, ''].join('\n')
}

function configPage(): string {
  const options = Object.values(OPTIONS) as OptionDeclaration[]
  const rows = options.map((option) =>
    `| \`${flagName(option.key)} ${(option.value ?? '').replaceAll('|', '\\|')}\` ` +
    `| \`${environmentName(option.key)}\` | \`${option.key}\` ` +
    `| ${option.fallback ?? ''} | ${option.about} |`)
  return ['# Options of `slipway up`', '',
    'Precedence: flag, environment, `slipway.json` (or the file of `--config`), default.', '',
    '| flag | environment | key | default | meaning |',
    '|---|---|---|---|---|', ...rows, '', ...POSTGRES_SECTION].join('\n')
}

const POSTGRES_SECTION = `## The embedded PostgreSQL

The key \`postgres\` of \`slipway.json\` has no flag:

\`\`\`json
{ "postgres": {
    "settings": { "work_mem": "64MB", "log_min_duration_statement": "1s" },
    "hba": ["local reports reader trust"],
    "ident": ["clients /^(.*)@example[.]com$ \\\\1"] } }
\`\`\`

- \`settings\`: as in postgresql.conf. Defaults by the size of the machine come first, then
  \`<data-dir>/postgres/postgresql.conf\`, then these, then ALTER SYSTEM. What the mirror needs
  (wal_level and its like) is refused.
- \`hba\`: lines of pg_hba.conf, before the default, which is scram-sha-256 for everybody. A
  client of the gateway is \`local\` for PostgreSQL, wherever it comes from. So a \`host\` line
  counts for it only when every client would match (\`all\`; \`hostssl\` with TLS required),
  and is refused otherwise, unless \`--direct-port\` makes PostgreSQL itself listen.
- \`ident\`: lines of pg_ident.conf.

## Client certificates

With \`--tls-client-ca\` a client logs in by its certificate, without a password: its common name
is the role. A line \`hostssl all all all cert map=NAME\` in \`hba\` names a map of \`ident\`
instead. An external server asks for its password all the same. \`slipway sql\` and its like show
the certificate that \`PGSSLCERT\` and \`PGSSLKEY\` name. SIGHUP to \`slipway up\` reads the
certificates again.
`.split('\n')

test.each([
  ['docs/errors.md', errorsPage],
  ['docs/config.md', configPage],
])('%s is what the code says', (name, page) => {
  const file = new URL(`../../${name}`, import.meta.url)
  if (process.env['UPDATE_DOCS'] === '1') writeFileSync(file, page())
  expect(readFileSync(file, 'utf8')).toBe(page())
})

test('every file that docs/INVARIANTS.md names exists', () => {
  const page = readFileSync(new URL('../../docs/INVARIANTS.md', import.meta.url), 'utf8')
  const named = [...page.matchAll(/\| ((?:src|test|docs)\/[\w./-]+) /g)].map((match) => match[1])
  expect(named.length).toBeGreaterThan(30)
  expect(named.filter((name) => !existsSync(new URL(`../../${name}`, import.meta.url)))).toEqual([])
})
