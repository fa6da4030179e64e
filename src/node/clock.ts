/** Monotonic time in milliseconds: immune to changes of the system's clock. */
export const now = (): number => performance.now();
