/**
 * ServerAccount: the operating system's user under which PostgreSQL runs.
 *
 * A1  Never root: PostgreSQL refuses it. Root picks the owner of PGDATA if that is another
 *     user, else `postgres`, else `nobody`; an ordinary user is its own account.
 * A2  Nothing but PGDATA changes hands.
 */
import { spawnSync } from 'node:child_process'
import { lchownSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** null: the account of this very process. */
export type ServerAccount = { readonly uid: number; readonly gid: number } | null

/** `dataDir` counts while PGDATA does not exist yet. */
export function pickServerAccount(pgdata: string, dataDir: string): ServerAccount {
  if (process.getuid?.() !== 0) return null
  const owner = ownerOf(pgdata) ?? ownerOf(dataDir)
  if (owner !== null && owner.uid !== 0) return owner
  return accountNamed('postgres') ?? accountNamed('nobody') ?? { uid: 65534, gid: 65534 }
}

/** Gives a tree to the account. Does nothing where it has it already. */
export function giveTo(account: ServerAccount, path: string): void {
  if (account === null) return
  const found = statSync(path)
  if (found.uid === account.uid && found.gid === account.gid) return
  if (found.isDirectory()) giveTree(account, path)
  else lchownSync(path, account.uid, account.gid)
}

function giveTree(account: { readonly uid: number; readonly gid: number }, path: string): void {
  lchownSync(path, account.uid, account.gid)
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const child = join(path, entry.name)
    if (entry.isDirectory()) giveTree(account, child)
    else lchownSync(child, account.uid, account.gid)
  }
}

/** Whether the account can enter a directory: tried, since access lists and caps count too. */
export function canEnter(account: ServerAccount, directory: string): boolean {
  if (account === null) return true
  const tried = spawnSync('/bin/sh', ['-c', 'cd -- "$1"', 'sh', directory],
    { ...account, cwd: '/', stdio: 'ignore' })
  return tried.status === 0
}

function ownerOf(path: string): { readonly uid: number; readonly gid: number } | null {
  try {
    const { uid, gid } = statSync(path)
    return { uid, gid }
  } catch {
    return null
  }
}

function accountNamed(name: string): { readonly uid: number; readonly gid: number } | null {
  let text: string
  try {
    text = readFileSync('/etc/passwd', 'utf8')
  } catch {
    return null
  }
  for (const line of text.split('\n')) {
    const [user, , uid, gid] = line.split(':')
    if (user === name && uid !== undefined && gid !== undefined) {
      return { uid: Number(uid), gid: Number(gid) }
    }
  }
  return null
}
