/** Failures of the disk while the library writes files itself, in the catalog's words. */
import { SlipwayError } from '../base/errors.ts'

/** Whatever the system refuses (disk full, rights) is `lake-write-failed`. */
export async function asWriteFailure<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof SlipwayError) throw error
    throw new SlipwayError('lake-write-failed', `${what} could not be written`, { cause: error })
  }
}
