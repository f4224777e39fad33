/** What a benchmark found, and the bars that it is held to. */

export interface Bar {
  readonly name: string
  readonly value: number
  readonly unit: string
  /** `most`: must not be above; `least`: must not be below. */
  readonly limit: { readonly kind: 'most' | 'least'; readonly value: number }
}

export interface BenchReport {
  /** Lines for a person to read, already aligned. */
  readonly lines: readonly string[]
  readonly bars: readonly Bar[]
}

/** Every benchmark file exports one of these under the name `bench`. */
export type Bench = (args: readonly string[]) => Promise<BenchReport>

export function isMet({ value, limit }: Bar): boolean {
  return limit.kind === 'most' ? value <= limit.value : value >= limit.value
}

export function renderReport(report: BenchReport): string {
  const bars = report.bars.map((bar) => {
    const word = isMet(bar) ? 'met   ' : 'MISSED'
    const value = bar.value.toPrecision(3)
    return `${word} ${bar.name}: ${value} ${bar.unit} (at ${bar.limit.kind} ${bar.limit.value})`
  })
  return [...report.lines, '', ...bars, ''].join('\n')
}
