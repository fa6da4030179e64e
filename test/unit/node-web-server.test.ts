/** The fleet page's server, as whoever reaches its port finds it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { after, test } from 'node:test';
import { Failure } from '../../src/failure.js';
import type { FleetFeed } from '../../src/node/web/fleet-feed.js';
import type { Orders } from '../../src/node/web/web-orders.js';
import { WebServer } from '../../src/node/web/web-server.js';

const feed = { state: () => ({ here: true }), change: () => ({}) } as unknown as FleetFeed;
const ordered: unknown[] = [];
const orders = { start: () => ordered.push('start') } as unknown as Orders;

const web = await WebServer.open({ host: '127.0.0.1', port: 0 }, feed, orders);
const { port, searchParams } = new URL(web.url);
const authorization = `Bearer ${searchParams.get('token')}`;
const sockets: Socket[] = [];
after(() => {
  for (const socket of sockets) socket.destroy();
  web.close();
});

/** A connection from an address of loopback, and when it ends. */
async function connectFrom(localAddress: string): Promise<{ socket: Socket; closed: unknown }> {
  const socket = connect({ host: '127.0.0.1', port: Number(port), localAddress });
  sockets.push(socket);
  socket.on('error', () => {});
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.on('end', () => socket.end()).resume();
  await once(socket, 'connect');
  return { socket, closed };
}

interface Asked {
  method?: string;
  type?: string | undefined;
  from?: string;
  body?: string;
}

/** The answer's head; its body goes on to whoever reads it. */
async function ask(path: string, asked: Asked = {}): Promise<IncomingMessage> {
  const { method = 'GET', type, from = '127.0.0.1', body = '' } = asked;
  const headers = { authorization, ...(type === undefined ? {} : { 'content-type': type }) };
  const options = { host: '127.0.0.1', port, path, method, headers, localAddress: from };
  const asking = request({ ...options, agent: false });
  asking.end(body);
  const [response] = (await once(asking, 'response')) as [IncomingMessage];
  return response;
}

async function statusOf(path: string, asked: Asked = {}): Promise<number> {
  const response = await ask(path, asked);
  response.destroy();
  return response.statusCode!;
}

// By itself, Node lets an idle connection be for more than a minute.
test('idle connections leave room for others, and are soon closed', {
  timeout: 40_000,
}, async () => {
  const idle = [];
  for (let count = 0; count < 64; count++) idle.push(await connectFrom('127.0.0.2'));
  await (await connectFrom('127.0.0.2')).closed;
  assert.equal(await statusOf('/api/state'), 200);
  await Promise.all(idle.map(({ closed }) => closed));
});

test('viewers of one address take no place of strangers', async () => {
  const viewers = [];
  for (let count = 0; count < 64; count++) {
    viewers.push(await ask('/api/events', { from: '127.0.0.3' }));
  }
  assert.deepEqual(new Set(viewers.map(({ statusCode }) => statusCode)), new Set([200]));
  assert.equal(await statusOf('/api/events', { from: '127.0.0.3' }), 503);
  assert.equal(await statusOf('/api/state', { from: '127.0.0.3' }), 200);
  for (const viewer of viewers) viewer.destroy();
});

test('a stranger keeps no connection that was answered', async () => {
  const { socket, closed } = await connectFrom('127.0.0.4');
  const answered = once(socket, 'data');
  socket.write(`GET /api/state HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
  assert.match(String(await answered), /^HTTP\/1\.1 401 .*\r\nconnection: close\r\n/is);
  await closed;
});

// What never ends gets no answer to what is asked behind it.
test('the head of the events ends, and is no viewer', { timeout: 20_000 }, async () => {
  const { socket, closed } = await connectFrom('127.0.0.1');
  const parts: Buffer[] = [];
  socket.on('data', (part) => parts.push(part));
  const headers = `Host: 127.0.0.1:${port}\r\nAuthorization: ${authorization}\r\n`;
  const heads = `HEAD /api/events HTTP/1.1\r\n${headers}\r\n`.repeat(65);
  socket.write(`${heads}GET /api/state HTTP/1.1\r\n${headers}Connection: close\r\n\r\n`);
  await closed;
  const answers = Buffer.concat(parts).toString();
  assert.equal(answers.match(/^HTTP\/1\.1 200 /gm)!.length, 66);
  assert.match(answers, /content-type: text\/event-stream\r\n/i);
});

test('orders come as JSON, however its name is written', async () => {
  for (const type of ['Application/JSON', 'application/json ; charset=utf-8']) {
    assert.equal(await statusOf('/api/start', { method: 'POST', type, body: '{}' }), 200, type);
  }
  for (const type of [undefined, 'text/plain', 'text/plain; application/json']) {
    assert.equal(await statusOf('/api/start', { method: 'POST', type, body: '{}' }), 415, type);
  }
  assert.deepEqual(ordered, ['start', 'start']);
});

test('a page at an address of another machine is refused with what to do', async () => {
  await assert.rejects(
    // Addresses of documents are nobody's.
    WebServer.open({ host: '192.0.2.1', port: 0 }, feed, orders),
    (error) =>
      error instanceof Failure &&
      error.code === 'NO_PAGE' &&
      /cannot be at 192\.0\.2\.1, port 0: this machine .*; give one that/.test(error.message),
  );
});
