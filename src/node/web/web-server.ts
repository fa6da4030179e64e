/** The fleet page, its API and the metrics, over plain HTTP. */
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, isIP } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';
import { Failure } from '../../failure.js';
import type { FleetFeed } from './fleet-feed.js';
import { metricsText } from './metrics.js';
import { contentPolicy, PAGE } from './page.js';
import { Strangers } from './strangers.js';
import { endEventHead, Viewers } from './viewers.js';
import { WebGuard } from './web-guard.js';
import { carryOut, type Orders } from './web-orders.js';

export interface WebPlace {
  /** Undefined: loopback, for this machine alone, without a token. */
  host: string | undefined;
  /** 0 for any that is free. */
  port: number;
}

const MAX_BODY_BYTES = 4096;
const TOKEN_BYTES = 16;
const MAX_CONNECTIONS = 256;
/**
 * A request is a few hundred bytes: whoever takes longer only holds a place. Viewers are not meant:
 * their requests are whole, and it is the answer that goes on.
 */
const REQUEST_LIMITS = {
  headersTimeout: 5000,
  requestTimeout: 10_000,
  connectionsCheckingInterval: 1000,
} as const;
const HEADERS = {
  'cache-control': 'no-store',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'same-origin',
  'x-content-type-options': 'nosniff',
} as const;

export class WebServer {
  /** Where the page is, with its token. */
  readonly url: string;
  private readonly server: Server;
  private readonly guard: WebGuard;
  private readonly feed: FleetFeed;
  private readonly orders: Orders;
  private readonly viewers: Viewers;
  private readonly strangers = new Strangers();

  private constructor(server: Server, place: WebPlace, feed: FleetFeed, orders: Orders) {
    const { port, family, address } = server.address() as AddressInfo;
    const { host } = place;
    const token = host === undefined ? null : randomBytes(TOKEN_BYTES).toString('base64url');
    const names = [host ?? '', hostname()].map((name) => name.toLowerCase());
    this.server = server;
    this.feed = feed;
    this.orders = orders;
    this.guard = new WebGuard({ port, token, names });
    this.viewers = new Viewers(
      () => feed.state(),
      () => feed.change(),
    );
    const shown = host === undefined ? 'localhost' : shownHost(host, address, family);
    this.url = `http://${shown}:${port}/${token === null ? '' : `?token=${token}`}`;
    server.on('connection', (socket) => this.strangers.admit(socket));
    server.on('request', (request, response) => this.handle(request, response));
  }

  /** @throws Failure when it cannot listen there */
  static async open(place: WebPlace, feed: FleetFeed, orders: Orders): Promise<WebServer> {
    const server = createServer({ maxHeaderSize: 16_384, ...REQUEST_LIMITS });
    server.maxConnections = MAX_CONNECTIONS;
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(cannotListen(place, error)));
      server.listen(place.port, place.host ?? '127.0.0.1', resolve);
    });
    server.removeAllListeners('error');
    // Whatever befalls the page later is no reason for the copies to end.
    server.on('error', () => {});
    server.unref();
    return new WebServer(server, place, feed, orders);
  }

  private handle(request: IncomingMessage, response: ServerResponse): void {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    // Whoever breaks off is of no interest.
    request.on('error', () => {});
    response.on('error', () => {});
    const [pathname = '/', query = ''] = (request.url ?? '/').split('?', 2);
    const token = new URLSearchParams(query).get('token');
    const verdict = this.guard.judge(request.headers, token);
    if (verdict === 'ok') this.strangers.forget(request.socket);
    // A stranger that is answered has no further use for its place.
    else response.setHeader('connection', 'close');
    if (verdict === 'foreign') {
      answer(response, 403, 'This request comes from another page or for another host.');
    } else if (verdict === 'no-token') {
      answer(response, 401, 'Open the link with its token, as multiserver printed it.');
    } else if (request.method === 'POST') {
      this.post(pathname, request, response);
    } else if (request.method === 'GET' || request.method === 'HEAD') {
      this.get(pathname, token, request, response);
    } else {
      response.setHeader('allow', 'GET, HEAD, POST');
      answer(response, 405, 'GET or POST, please.');
    }
  }

  private get(
    path: string,
    token: string | null,
    request: IncomingMessage,
    response: ServerResponse,
  ): void {
    if (path === '/' && token !== null) this.keepToken(token, response);
    else if (path === '/') this.sendPage(response);
    else if (path === '/api/state') answerJson(response, this.feed.state());
    else if (path === '/api/events') this.sendEvents(request.method === 'HEAD', response);
    else if (path === '/metrics') this.sendMetrics(response);
    else answer(response, 404, 'There is nothing here.');
  }

  /** The browser keeps the token, and the address that is shown and sent on is without it. */
  private keepToken(token: string, response: ServerResponse): void {
    const cookie = `${this.guard.cookieName}=${encodeURIComponent(token)}`;
    response.setHeader('set-cookie', `${cookie}; Path=/; HttpOnly; SameSite=Lax`);
    response.setHeader('location', '/');
    answer(response, 303, 'The page is at /.');
  }

  private sendPage(response: ServerResponse): void {
    response.setHeader('content-security-policy', contentPolicy());
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end(PAGE);
  }

  private sendEvents(isHeadOnly: boolean, response: ServerResponse): void {
    if (this.viewers.isFull) answer(response, 503, 'Too many look at this page.');
    else if (isHeadOnly) endEventHead(response);
    else this.viewers.add(response);
  }

  private sendMetrics(response: ServerResponse): void {
    response.setHeader('content-type', 'text/plain; version=0.0.4; charset=utf-8');
    response.end(metricsText(this.feed.state()));
  }

  private post(path: string, request: IncomingMessage, response: ServerResponse): void {
    // What a form of another site can send is never this.
    if (!/^\s*application\/json\s*(;|$)/i.test(request.headers['content-type'] ?? '')) {
      answer(response, 415, 'Send application/json.');
      return;
    }
    const parts: Buffer[] = [];
    let bytes = 0;
    request.on('data', (part: Buffer) => {
      bytes += part.length;
      if (bytes <= MAX_BODY_BYTES) parts.push(part);
    });
    request.on('end', () => {
      if (bytes > MAX_BODY_BYTES) answer(response, 413, 'That is too much.');
      else this.order(path, Buffer.concat(parts).toString(), response);
    });
  }

  private order(path: string, text: string, response: ServerResponse): void {
    const body = parse(text);
    if (body === undefined) {
      answer(response, 400, 'The body is no JSON.');
      return;
    }
    const name = /^\/api\/([a-z]+)$/.exec(path)?.[1] ?? '';
    const refusal = carryOut(name, body, this.orders);
    if (refusal === undefined) answer(response, 404, 'There is no such order.');
    else if (refusal !== null) answer(response, refusal.status, refusal.text);
    else answerJson(response, { ok: true });
  }

  close(): void {
    this.viewers.close('the server has ended');
    this.server.close();
    this.server.closeIdleConnections();
  }
}

function answer(response: ServerResponse, status: number, text: string): void {
  response.statusCode = status;
  response.setHeader('content-type', 'text/plain; charset=utf-8');
  response.end(`${text}\n`);
}

function answerJson(response: ServerResponse, value: object): void {
  response.setHeader('content-type', 'application/json; charset=utf-8');
  response.end(`${JSON.stringify(value)}\n`);
}

/** @returns undefined for what is no JSON; nothing at all is an empty object */
function parse(text: string): unknown {
  if (text === '') return {};
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** What an operator elsewhere can open: of a server on all addresses, its first one. */
function shownHost(host: string, address: string, family: string): string {
  const isAny = address === '0.0.0.0' || address === '::';
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const first = all.find((one) => !one.internal && one.family === 'IPv4')?.address;
  const shown = isAny ? (first ?? hostname()) : host;
  return isIP(shown) === 6 || (family === 'IPv6' && shown.includes(':')) ? `[${shown}]` : shown;
}

const LISTEN_TROUBLES: Record<string, string> = {
  EADDRINUSE: 'another program is there; choose another port',
  EADDRNOTAVAIL: 'this machine does not have that address; give one that `ip address` shows',
  EACCES: 'the system keeps that port for root; choose one from 1024 on',
  ENOTFOUND: 'no name server knows that name; give an address of this machine',
  EAI_AGAIN: 'no name server answers; give an address of this machine',
};

function cannotListen({ host, port }: WebPlace, error: Error): Failure {
  const { code } = error as NodeJS.ErrnoException;
  const place = `${host ?? 'localhost'}, port ${port}`;
  const reason = LISTEN_TROUBLES[code ?? ''] ?? code ?? error.message;
  return new Failure('network', 'NO_PAGE', `the fleet page cannot be at ${place}: ${reason}`);
}
