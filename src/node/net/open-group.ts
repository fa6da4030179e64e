/**
 * Opens the sockets of a multicast group: in the way of `linux/` where it is there, else of
 * `plain/`.
 */

import { loadNative } from '../system/native.js';
import type { GroupHandler, GroupOptions, GroupReceiver, GroupSender } from './group-socket.js';
import { openLinuxReceiver } from './linux/group-receiver.js';
import { openLinuxSender } from './linux/group-sender.js';
import { allowFragments } from './linux/native-socket.js';
import { openPlainReceiver } from './plain/group-receiver.js';
import { openPlainSender } from './plain/group-sender.js';

/**
 * @param packetBytes length of a full block packet, at which trains are cut
 * @throws Failure when nothing can be sent to the group by that interface
 */
export async function openGroupSender(
  options: GroupOptions,
  packetBytes: number,
): Promise<GroupSender> {
  const native = options.offload ? loadNative() : null;
  const sender = native === null ? null : await openLinuxSender(options, packetBytes, native);
  return sender ?? openPlainSender(options, mayFragment);
}

/** @throws Failure when the port is taken, or the group cannot be joined */
export async function openGroupReceiver(
  options: GroupOptions,
  handler: GroupHandler,
): Promise<GroupReceiver> {
  const native = options.offload ? loadNative() : null;
  return native === null
    ? openPlainReceiver(options, handler)
    : openLinuxReceiver(options, handler, native);
}

/**
 * The one thing that plain sockets want of the C library, if it is there, when their sends fail.
 */
function mayFragment(fd: number, isV6: boolean): boolean {
  const native = loadNative();
  if (native === null) return false;
  allowFragments(native, fd, isV6);
  return true;
}
