/**
 * Packets about whose image it is: a client asks for the statement that the operator signed, and a
 * server hands it out, with its signature. Both are bytes here, which nothing vouches for.
 */
import { CHECK_BYTES, isAsWritten, writeCheck } from './check.js';
import {
  HEADER_BYTES,
  MAX_CONTROL_PACKET_BYTES,
  PacketType,
  packetSession,
  writeHeader,
} from './packet.js';

export interface StatementRequest {
  /** The server's, as its description has it. */
  session: bigint;
  client: bigint;
}

export interface StatementAnswer {
  session: bigint;
  /** Who asked. */
  client: bigint;
  /** The statement as it was signed; empty where there is none. */
  statement: Buffer;
  /** A file of minisign; empty where there is none. */
  signature: Buffer;
}

/** As long as a map request: the answer has at most three times its length. */
const STATEMENT_REQUEST_BYTES = 400;
const STATEMENT_BYTES = HEADER_BYTES + 12;
/** Statement and signature together. */
const MAX_STATEMENTS_BYTES = MAX_CONTROL_PACKET_BYTES - STATEMENT_BYTES - CHECK_BYTES;

export function encodeStatementRequest({ session, client }: StatementRequest): Buffer {
  const bytes = Buffer.alloc(STATEMENT_REQUEST_BYTES);
  writeHeader(bytes, 0, PacketType.statementRequest, bytes.length, session);
  bytes.writeBigUInt64BE(client, 16);
  return writeCheck(bytes);
}

export function decodeStatementRequest(bytes: Buffer): StatementRequest | null {
  if (bytes.length !== STATEMENT_REQUEST_BYTES || !isAsWritten(bytes)) return null;
  return { session: packetSession(bytes, 0), client: bytes.readBigUInt64BE(16) };
}

/** @throws RangeError when the two do not fit a packet */
export function encodeStatement(answer: StatementAnswer): Buffer {
  const { session, client, statement, signature } = answer;
  const textBytes = statement.length + signature.length;
  if (textBytes > MAX_STATEMENTS_BYTES) throw new RangeError('statement too long');
  const bytes = Buffer.alloc(STATEMENT_BYTES + textBytes + CHECK_BYTES);
  writeHeader(bytes, 0, PacketType.statement, bytes.length, session);
  bytes.writeBigUInt64BE(client, 16);
  bytes.writeUInt16BE(statement.length, 24);
  bytes.writeUInt16BE(signature.length, 26);
  statement.copy(bytes, STATEMENT_BYTES);
  signature.copy(bytes, STATEMENT_BYTES + statement.length);
  return writeCheck(bytes);
}

export function decodeStatement(bytes: Buffer): StatementAnswer | null {
  const end = bytes.length - CHECK_BYTES;
  if (end < STATEMENT_BYTES || bytes.length > MAX_CONTROL_PACKET_BYTES) return null;
  const signatureAt = STATEMENT_BYTES + bytes.readUInt16BE(24);
  if (end !== signatureAt + bytes.readUInt16BE(26) || !isAsWritten(bytes)) return null;
  return {
    session: packetSession(bytes, 0),
    client: bytes.readBigUInt64BE(16),
    statement: Buffer.from(bytes.subarray(STATEMENT_BYTES, signatureAt)),
    signature: Buffer.from(bytes.subarray(signatureAt, end)),
  };
}
