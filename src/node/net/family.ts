/**
 * Whether an address is IPv6: it is known to be an address, so a colon tells. Node's `isIPv6` would
 * make up its regular expression first, which takes as long as loading a module.
 */
export const isIPv6Address = (address: string): boolean => address.includes(':');
