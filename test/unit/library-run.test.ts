import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Observer, Run } from '../../src/library/run.js';

interface Event {
  type: string;
  value?: number;
}

/** A run whose work is done by hand. */
function manualRun(signal?: AbortSignal) {
  let observe!: Observer<Event>;
  let settle!: { resolve: () => void; reject: (error: unknown) => void };
  const run = new Run<Event, number>(
    (observer, stop) => {
      observe = observer;
      return new Promise<void>((resolve, reject) => {
        settle = { resolve, reject };
        stop.addEventListener('abort', () => reject(stop.reason));
      });
    },
    ({ type, value }) => (type === 'result' ? value : undefined),
    signal,
  );
  const begun = Promise.resolve().then(() => {});
  return { run, begun, emit: (event: Event) => observe(event), end: () => settle };
}

async function collect(run: AsyncIterable<Event>): Promise<Event[]> {
  const events: Event[] = [];
  for await (const event of run) events.push(event);
  return events;
}

test('a run has the result that its last telling event had', async () => {
  const { run, begun, emit, end } = manualRun();
  await begun;
  emit({ type: 'result', value: 1 });
  emit({ type: 'result', value: 2 });
  emit({ type: 'other' });
  end().resolve();
  assert.equal(await run.done, 2);
});

test('each of several observers hears each event, until it stops', async () => {
  const { run, begun, emit, end } = manualRun();
  const first: string[] = [];
  const second: string[] = [];
  const stop = run.observe(({ type }) => first.push(type));
  run.observe(({ type }) => second.push(type));
  await begun;
  emit({ type: 'a' });
  stop();
  emit({ type: 'b' });
  end().resolve();
  await run.done;
  assert.deepEqual([first, second], [['a'], ['a', 'b']]);
});

test('a slow iterator gets all events, and of progress the latest', async () => {
  const { run, begun, emit, end } = manualRun();
  const events = collect(run);
  await begun;
  emit({ type: 'begun' });
  for (let value = 0; value < 100; value++) emit({ type: 'progress', value });
  emit({ type: 'notice' });
  emit({ type: 'progress', value: 100 });
  end().resolve();
  assert.deepEqual(await events, [
    { type: 'begun' },
    { type: 'progress', value: 99 },
    { type: 'notice' },
    { type: 'progress', value: 100 },
  ]);
});

test('an iterator that never looks holds a bounded number of events', async () => {
  const { run, begun, emit, end } = manualRun();
  const iterator = run[Symbol.asyncIterator]();
  const first = iterator.next();
  await begun;
  for (let value = 0; value < 5000; value++) emit({ type: 'notice', value });
  end().resolve();
  await run.done;
  const values = [(await first).value?.value];
  for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
    values.push(next.value.value);
  }
  assert(values.length <= 1025, `${values.length} events`);
  assert.equal(values.at(-1), 4999);
});

test('a failure comes from done and from the iterator', async () => {
  const { run, begun, emit, end } = manualRun();
  const events = collect(run);
  await begun;
  emit({ type: 'begun' });
  const failure = new Error('no');
  end().reject(failure);
  await assert.rejects(run.done, failure);
  await assert.rejects(events, failure);
});

test('an aborted run rejects with the reason', async () => {
  const abort = new AbortController();
  const { run, begun } = manualRun(abort.signal);
  await begun;
  abort.abort(new Error('enough'));
  await assert.rejects(run.done, /enough/);
});
