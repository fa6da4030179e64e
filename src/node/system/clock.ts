/**
 * Monotonic time in milliseconds: immune to changes of the system's clock. `performance.now` would
 * be the same time, but has to be loaded.
 */
export const now = (): number => process.uptime() * 1000;
