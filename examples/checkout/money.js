// Amounts for people.

/**
 * An amount in minor units as people write it: `money(2599, 'GBP')` is "£25.99", `money(500, 'JPY')` is "¥500".
 * @param {number} amount integer, minor units
 * @param {string} currency ISO 4217
 */
export function money(amount, currency) {
  const format = new Intl.NumberFormat('en-GB', { style: 'currency', currency });
  const digits = format.resolvedOptions().maximumFractionDigits ?? 2;
  // The point is put in by hand: dividing would make a binary fraction out of an exact integer.
  const padded = String(amount).padStart(digits + 1, '0');
  const decimal = digits === 0 ? padded : `${padded.slice(0, -digits)}.${padded.slice(-digits)}`;
  return format.format(/** @type {any} */ (decimal));
}
