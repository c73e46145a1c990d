// Amounts and times for people.

/** Currencies of ISO 4217 whose minor unit is not the hundredth. */
const DIGITS = new Map([
  ...['BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'UYI', 'VND', 'VUV', 'XAF', 'XOF', 'XPF'].map(
    (code) => /** @type {[string, number]} */ ([code, 0]),
  ),
  ...['BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND'].map((code) => /** @type {[string, number]} */ ([code, 3])),
  ...['CLF', 'UYW'].map((code) => /** @type {[string, number]} */ ([code, 4])),
]);

/**
 * An amount in minor units with its currency: `money(259900, 'GBP')` is "2,599.00 GBP". The digits are moved and never divided, so
 * that every amount is exact.
 * @param {number} amount integer, minor units @param {string} currency ISO 4217
 */
export function money(amount, currency) {
  const digits = DIGITS.get(currency) ?? 2;
  const padded = String(amount).padStart(digits + 1, '0');
  const whole = padded.slice(0, padded.length - digits).replace(/\B(?=(\d{3})+$)/g, ',');
  return `${digits === 0 ? whole : `${whole}.${padded.slice(-digits)}`} ${currency}`;
}

/** A period in two units at most: "620 ms", "4.2 s", "3 min 20 s", "2 h 5 min", "3 d 4 h". @param {number} ms */
export function period(ms) {
  const s = Math.floor(ms / 1000);
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  if (s < 10) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  if (s < 60) return `${s} s`;
  /** @type {(n: number, unit: string) => string} */
  const rest = (n, unit) => (n ? ` ${n} ${unit}` : '');
  const min = Math.floor(s / 60);
  if (min < 60) return `${min} min${rest(s % 60, 's')}`;
  const h = Math.floor(min / 60);
  if (h < 24) return `${h} h${rest(min % 60, 'min')}`;
  return `${Math.floor(h / 24)} d${rest(h % 24, 'h')}`;
}

/** How long ago, by this machine's clock. @param {string} at RFC 3339 @param {number} [now] */
export function age(at, now = Date.now()) {
  return period(Math.max(0, now - Date.parse(at)));
}

/** "2026-11-29 08:04:28.111 UTC", as the log has it. @param {string} at RFC 3339 */
export function time(at) {
  return `${at.replace('T', ' ').replace('Z', '')} UTC`;
}

/** "AUTHORIZED" and "in_doubt" as words: "authorized", "in doubt". @param {string} name */
export function words(name) {
  return name.toLowerCase().replaceAll('_', ' ');
}

/** The first letter in upper case. @param {string} text */
export function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
