// Why a call did not succeed. Only `safeNewKey: true` says that no money moved and that a new try cannot pay twice.

import type { Attempt, RefusalCode } from './types.js';

/** Codes of this library, beside those of the contract. */
export type LocalCode =
  | 'OUTCOME_UNKNOWN'
  | 'ACTION_REQUIRED'
  | 'NAME_IN_USE'
  | 'NEW_TRY_REFUSED'
  | 'NOT_CREATED'
  | 'STORE_BROKEN';

export interface ErrorFacts {
  code: RefusalCode | LocalCode;
  message: string;
  /** The HTTP status of the answer, if there was one. */
  status?: number | undefined;
  /** Whether the same call under the same name may end differently. */
  retryable?: boolean;
  /** Whether a new try under a new key is known not to pay twice. */
  safeNewKey?: boolean;
  /** The attempt as it was last seen. */
  attempt?: Attempt | undefined;
  /** The member of the body that is at fault. */
  field?: string | undefined;
  /** The PSP's code for a decline. */
  declineCode?: string | undefined;
  /** How long the server asks to wait before the next call, in milliseconds; 0 if it does not say. */
  retryAfterMs?: number;
}

/** All errors of this library. Without `safeNewKey` it is not known that the payment failed. */
export class PayOnceError extends Error {
  override readonly name: string = 'PayOnceError';
  readonly code: RefusalCode | LocalCode;
  readonly status: number | undefined;
  readonly retryable: boolean;
  readonly safeNewKey: boolean;
  readonly attempt: Attempt | undefined;
  readonly field: string | undefined;
  readonly declineCode: string | undefined;
  readonly retryAfterMs: number;

  constructor(facts: ErrorFacts) {
    super(`${facts.code}: ${facts.message}`);
    this.code = facts.code;
    this.status = facts.status;
    this.retryable = facts.retryable ?? false;
    this.safeNewKey = facts.safeNewKey ?? false;
    this.attempt = facts.attempt;
    this.field = facts.field;
    this.declineCode = facts.declineCode;
    this.retryAfterMs = facts.retryAfterMs ?? 0;
  }
}

/** 402: the payment is declined, finally. No money was taken. */
export class Declined extends PayOnceError {
  override readonly name = 'Declined';
}

/** 409: the attempt's status does not allow the call. `attempt` shows what another call has done. */
export class InvalidState extends PayOnceError {
  override readonly name = 'InvalidState';
}

/** 409: the key belongs to another request. The key store gave a key that was used for something else. */
export class KeyReused extends PayOnceError {
  override readonly name = 'KeyReused';
}

/** 409: another refusal by the attempt, such as `TOO_MANY_KEYS`. */
export class Conflict extends PayOnceError {
  override readonly name = 'Conflict';
}

/** 400, 405, 413, 415: the request was refused by its form. An earlier request under the name may have been carried out. */
export class InvalidRequest extends PayOnceError {
  override readonly name = 'InvalidRequest';
}

/** 401, 403: the API key is not accepted. */
export class Unauthorized extends PayOnceError {
  override readonly name = 'Unauthorized';
}

/** 404: there is no such attempt. After a restore, call `createAttempt` again under the same name. */
export class NotFound extends PayOnceError {
  override readonly name = 'NotFound';
}

/** The outcome is not known yet. The payment has not failed. Call again with the same name. */
export class OutcomeUnknown extends PayOnceError {
  override readonly name: string = 'OutcomeUnknown';
}

/** A 5xx that a retry does not mend. An operator has to look; then call again with the same name. */
export class ServerRefused extends OutcomeUnknown {
  override readonly name = 'ServerRefused';
}

/** The customer has to act. Send the customer to `url`, and then call again with the same name. */
export class ActionRequired extends OutcomeUnknown {
  override readonly name = 'ActionRequired';

  get url(): string | undefined {
    return this.attempt?.next_action?.url;
  }
}

/** The caller's mistake. Nothing was sent. */
export class WrongUse extends PayOnceError {
  override readonly name: string = 'WrongUse';
}

/** A new try was asked for, and no answer has said that the try before it ended without money. Nothing was sent. */
export class NewTryRefused extends WrongUse {
  override readonly name = 'NewTryRefused';
}
