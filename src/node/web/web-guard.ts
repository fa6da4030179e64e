/**
 * Who may use the fleet page. On loopback, whoever is on this machine; elsewhere, who has the
 * token. Pages of other sites, which a browser runs beside ours, may not: they give themselves away
 * by `Origin` and `Sec-Fetch-Site`, and by a `Host` that is none of ours (DNS rebinding).
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';

const LOOPBACK_NAMES: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]']);

export type Verdict = 'ok' | 'foreign' | 'no-token';

interface GuardOptions {
  port: number;
  /** Null on loopback: nobody else gets there. */
  token: string | null;
  /** Names besides addresses by which the server is called. */
  names: readonly string[];
}

export class WebGuard {
  private readonly options: GuardOptions;

  constructor(options: GuardOptions) {
    this.options = options;
  }

  /** Where the token is kept in a browser: cookies know no ports. */
  get cookieName(): string {
    return `multiserver-${this.options.port}`;
  }

  /**
   * @param token as the address gives it; null for none
   * @returns whether a request may be answered
   */
  judge(headers: IncomingHttpHeaders, token: string | null): Verdict {
    if (!this.isOwnHost(headers.host) || !this.isOwnOrigin(headers)) return 'foreign';
    if (this.options.token === null) return 'ok';
    const given = token ?? bearerOf(headers.authorization) ?? this.cookieOf(headers.cookie);
    return given !== null && areEqual(given, this.options.token) ? 'ok' : 'no-token';
  }

  /** A name that leads to us only by somebody's name server is none of ours. */
  private isOwnHost(host: string | undefined): boolean {
    const { port, token, names } = this.options;
    const match = /^(\[[0-9a-f:.]+\]|[^:[\]]+)(?::(\d+))?$/i.exec(host ?? '');
    if (match === null || Number(match[2] ?? 80) !== port) return false;
    const name = match[1]!.toLowerCase();
    if (LOOPBACK_NAMES.has(name)) return true;
    if (token === null) return false;
    return isIP(name.replace(/^\[|\]$/g, '')) !== 0 || names.includes(name);
  }

  /** Programs send neither; browsers say which page a request comes from. */
  private isOwnOrigin(headers: IncomingHttpHeaders): boolean {
    const { origin, host } = headers;
    if (origin !== undefined && origin !== `http://${host}`) return false;
    const site = headers['sec-fetch-site'];
    const isVisit = headers['sec-fetch-mode'] === 'navigate';
    return site === undefined || site === 'same-origin' || site === 'none' || isVisit;
  }

  private cookieOf(cookies: string | undefined): string | null {
    const prefix = `${this.cookieName}=`;
    const found = cookies?.split(/; */).find((cookie) => cookie.startsWith(prefix));
    return found?.slice(prefix.length) ?? null;
  }
}

function bearerOf(authorization: string | undefined): string | null {
  return /^Bearer ([\w-]+)$/i.exec(authorization ?? '')?.[1] ?? null;
}

/** In a time that tells nothing. */
function areEqual(one: string, other: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(one), digest(other));
}
