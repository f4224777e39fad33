/** The name that someone most likely meant: by edit distance, ignoring case. */

/** null when none is near: more than a third of the letters, or three, differ. */
export function nearestName(wanted: string, names: readonly string[]): string | null {
  const most = Math.min(3, Math.ceil(wanted.length / 3))
  let best: { readonly name: string; readonly distance: number } | null = null
  for (const name of names) {
    const distance = distanceOf(wanted.toLowerCase(), name.toLowerCase())
    if (distance <= most && distance < (best?.distance ?? Infinity)) best = { name, distance }
  }
  return best?.name ?? null
}

/** Levenshtein's, one row of the table at a time. */
function distanceOf(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min((next[j - 1] ?? 0) + 1, (row[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)))
    }
    row = next
  }
  return row[b.length] ?? 0
}
