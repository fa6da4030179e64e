/** What is used of a file system cannot be told, or not be believed: all of it is sent. */
export class Unreadable extends Error {
  override readonly name = 'Unreadable';

  /** @param why a clause, for the operator's table */
  constructor(readonly why: string) {
    super(why);
  }
}
