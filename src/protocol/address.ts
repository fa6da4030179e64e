/**
 * Where a datagram comes from or goes to: a numeric IP address, perhaps with a scope, and a port.
 */
export interface Address {
  address: string;
  port: number;
}
