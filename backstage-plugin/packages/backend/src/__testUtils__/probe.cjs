// Prints every second how long the event loop was held up at the most, for tests that load this before a backend.
const { monitorEventLoopDelay } = require('node:perf_hooks');

const RESOLUTION_MS = 5;

const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
histogram.enable();
setInterval(() => {
  const delay = Math.max(0, histogram.max / 1e6 - RESOLUTION_MS);
  console.log(`probe: event loop delay ${delay.toFixed(0)} ms at ${Date.now()}`);
  histogram.reset();
}, 1_000).unref();
