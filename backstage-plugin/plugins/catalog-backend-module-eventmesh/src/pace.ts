/** How soon to ask again after failures: exponential back-off with jitter, so that many portals do not come back at once. */

const FIRST_MS = 1_000;
const LONGEST_MS = 5 * 60_000;

export class Pace {
  private failures = 0;
  private notBefore = 0;

  constructor(private readonly random: () => number = Math.random) {}

  isDue(now: number): boolean {
    return now >= this.notBefore;
  }

  succeeded(): void {
    this.failures = 0;
    this.notBefore = 0;
  }

  /** Counts a failure. What the service asks for counts as the least. Returns how long to wait, in milliseconds. */
  failed(now: number, retryAfterMs = 0): number {
    const longest = Math.min(LONGEST_MS, FIRST_MS * 2 ** this.failures);
    this.failures += 1;
    const wait = Math.max(Math.min(retryAfterMs, LONGEST_MS), longest * (0.5 + this.random() / 2));
    this.notBefore = now + wait;
    return wait;
  }
}
