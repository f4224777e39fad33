/**
 * ProgressBar: one line on a terminal that is drawn over; on anything else one line each
 * ten percent, so that logs stay readable.
 */
import { formatDuration } from './format-duration.ts'

const WIDTH = 28
const REDRAW_MS = 100

export class ProgressBar {
  readonly #title: string
  readonly #total: number
  readonly #out: NodeJS.WriteStream
  readonly #startedMs = Date.now()
  #drawnMs = 0
  #lastTenth = -1

  constructor(options: { title: string; total: number; out: NodeJS.WriteStream }) {
    this.#title = options.title
    this.#total = Math.max(1, options.total)
    this.#out = options.out
  }

  update(done: number): void {
    const share = Math.min(1, done / this.#total)
    if (!this.#out.isTTY) { this.#logTenth(share); return }
    if (share < 1 && Date.now() - this.#drawnMs < REDRAW_MS) return
    this.#drawnMs = Date.now()
    const filled = Math.round(share * WIDTH)
    const bar = '#'.repeat(filled) + '.'.repeat(WIDTH - filled)
    const elapsed = Date.now() - this.#startedMs
    const left = share > 0.02 ? formatDuration(elapsed / share - elapsed) : '?'
    this.#out.write(`\r${this.#title} [${bar}] ${Math.floor(share * 100)}% ` +
      `${Math.floor(done).toLocaleString('en')} of ${this.#total.toLocaleString('en')}, ` +
      `${left} left \u001b[K`)
  }

  end(): void {
    this.update(this.#total)
    const took = formatDuration(Date.now() - this.#startedMs)
    if (this.#out.isTTY) this.#out.write(`\r${this.#title}: done in ${took}\u001b[K\n`)
    else this.#out.write(`${this.#title}: done in ${took}\n`)
  }

  #logTenth(share: number): void {
    const tenth = Math.floor(share * 10)
    if (tenth <= this.#lastTenth || tenth >= 10) return
    this.#lastTenth = tenth
    this.#out.write(`${this.#title}: ${tenth * 10}%\n`)
  }
}
