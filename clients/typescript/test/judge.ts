// The judge of the tests: what the PSP's ledger and the keys that were seen say against a client.

import type { Attempt } from '../src/index.js';
import type { World } from './servers.js';

export interface Expected {
  /** The attempt that each payment ended with, by the payment's name, and its amount. */
  paid: Map<string, { attempt: Attempt; amount: number }>;
  /** How many keys each call may have used. */
  keys: Record<string, number>;
}

/** What is wrong, in words; empty if every payment moved its money once and no key was wasted. */
export async function violations(world: World, { paid, keys }: Expected): Promise<string[]> {
  const report = await world.quiet();
  const found: string[] = [];
  for (const [name, { attempt, amount }] of paid) {
    if (attempt.status !== 'CAPTURED') found.push(`${name} ended as ${attempt.status}`);
    const { authorizations, captures, captured_minor, live_authorizations } = await world.ledgerOf(attempt.attempt_id);
    const said = JSON.stringify([authorizations, live_authorizations, captures, captured_minor]);
    if (said !== JSON.stringify([1, 1, 1, amount])) found.push(`${name}: the ledger says ${said}`);
  }
  const taken = Object.values(await world.ledger()).filter((row) => row.captures > 0);
  if (taken.length !== paid.size) found.push(`${taken.length} attempts took money, for ${paid.size} payments`);
  if (report.mixed_keys.length > 0) found.push(`${report.mixed_keys.length} keys were used for two requests`);
  for (const [call, count] of Object.entries(report.keys)) {
    if (count !== keys[call]) found.push(`${call} used ${count} keys instead of ${keys[call] ?? 0}`);
  }
  return found;
}
