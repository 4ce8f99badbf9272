import { Pace } from './pace';

/** The waits after so many failures in a row. */
function waits(pace: Pace, failures: number, retryAfterMs?: number): number[] {
  return Array.from({ length: failures }, () => pace.failed(0, retryAfterMs) / 1000);
}

it('waits longer after each failure, up to five minutes', () => {
  expect(waits(new Pace(() => 1), 11)).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
});

it('does not come back together with others', () => {
  expect(waits(new Pace(() => 0), 3)).toEqual([0.5, 1, 2]);
});

it('waits as long as it is asked to, within reason', () => {
  expect(waits(new Pace(() => 1), 2, 90_000)).toEqual([90, 90]);
  expect(waits(new Pace(() => 1), 1, 86_400_000)).toEqual([300]);
});

it('is due again after the wait, and at once after a success', () => {
  const pace = new Pace(() => 1);
  pace.failed(1_000);
  expect([pace.isDue(1_999), pace.isDue(2_000)]).toEqual([false, true]);
  pace.failed(2_000);
  pace.succeeded();
  expect([pace.isDue(2_000), pace.failed(2_000)]).toEqual([true, 1_000]);
});
