/**
 * ServerSettings: how the embedded PostgreSQL is set up.
 *
 * S1  What Slipway cannot do without is given on the command line, where no ALTER SYSTEM can
 *     take it away.
 * S2  The rest are defaults by the size of the machine, which everything else overrides.
 */
import { statfsSync } from 'node:fs'
import { totalmem } from 'node:os'
import { LOG_LINE_PREFIX } from './server-log.ts'

/** PostgreSQL itself listens there too, for connections that want no proxy. */
export interface DirectListener {
  readonly host: string
  readonly port: number
}

/** In PGDATA. */
export const SERVER_CERTIFICATE = 'slipway-login.crt'
export const SERVER_KEY = 'slipway-login.key'

/** Part of the socket's name; two servers never share a directory, so it can be fixed. */
const SOCKET_PORT = 5432
const MiB = 1024 * 1024

export function serverPort(direct: DirectListener | null): number {
  return direct?.port ?? SOCKET_PORT
}

/** S1: name and value of what must hold. */
export function requiredSettings(options: {
  readonly socketDirectory: string
  /** Addresses, separated by commas; empty for none. */
  readonly addresses: string
  readonly port: number
  readonly tls: boolean
}): readonly (readonly [string, string])[] {
  return [
    ['listen_addresses', options.addresses],
    ['port', String(options.port)],
    ...options.tls ? [
      ['ssl', 'on'], ['ssl_cert_file', SERVER_CERTIFICATE], ['ssl_key_file', SERVER_KEY],
      ['ssl_ca_file', SERVER_CERTIFICATE], ['ssl_crl_file', ''],
    ] as const : [],
    ['unix_socket_directories', options.socketDirectory],
    ['unix_socket_permissions', '0777'],
    ['wal_level', 'logical'],
    // The supervisor reads standard error, see server-log.ts.
    ['log_destination', 'stderr'],
    ['logging_collector', 'off'],
    ['log_line_prefix', LOG_LINE_PREFIX],
    ['lc_messages', 'C'],
  ]
}

/** S2: name and value, for this machine's memory and the disk under `directory`. */
export function tunedSettings(directory: string): readonly (readonly [string, string])[] {
  const memory = machineMemory()
  const { blocks, bsize } = statfsSync(directory)
  return [
    // The engine wants most of the memory, and the page cache serves both.
    ['shared_buffers', megabytes(memory / 8, 64, 8192)],
    ['effective_cache_size', megabytes(memory / 2, 128, 1 << 20)],
    ['maintenance_work_mem', megabytes(memory / 64, 64, 1024)],
    ['work_mem', '16MB'],
    ['max_connections', '200'],
    ['max_prepared_transactions', '64'],
    ['random_page_cost', '1.1'],
    ['max_wal_size', '2GB'],
    // Commits made with synchronous_commit = off reach the mirror as fast as the others.
    ['wal_writer_delay', '10ms'],
    ['max_wal_senders', '20'],
    ['max_replication_slots', '20'],
    ['logical_decoding_work_mem', '128MB'],
    // A mirror that stays away for long loses its slot before the disk is full.
    ['max_slot_wal_keep_size', megabytes((blocks * bsize) / 5, 4096, 256 * 1024)],
  ]
}

/** Bytes; of a container, what it may use. */
function machineMemory(): number {
  const limit = process.constrainedMemory()
  return limit > 0 && limit < totalmem() ? limit : totalmem()
}

function megabytes(bytes: number, least: number, most: number): string {
  return `${Math.floor(Math.min(Math.max(bytes / MiB, least), most))}MB`
}
