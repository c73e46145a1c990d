// What is sold, and what it may be paid with.

/** The one product. The price is known here and nowhere else: no form and no cookie carries it. */
export const PRODUCT = Object.freeze({
  id: 'kettle',
  name: 'Stovetop kettle, 1.5 litres',
  about: 'Enamelled steel. Whistles when it is done, so that you need not ask twice.',
  // Minor units, here pence: 2599 is £25.99. Money is an integer everywhere but on the page.
  amount: 2599,
  currency: 'GBP',
});

// There is no card number anywhere in this shop, and there must be none in yours. In a real shop the PSP's own script
// draws the card fields in the browser (an iframe of the PSP's), and hands the page a *token* for the card; the form
// sends the token. A number that never reaches your server cannot leak from it, be logged by it, or bring it under the
// card schemes' audit. Here the tokens are the sandbox's, and each makes it behave in one way (sandbox/README.md).

/** @type {ReadonlyArray<{token: string, label: string, about: string}>} */
export const CARDS = Object.freeze([
  { token: 'pm_card_visa', label: 'A card that works', about: 'Approved at once.' },
  { token: 'pm_card_chargeDeclined', label: 'A card that is declined', about: 'The bank says no.' },
  {
    token: 'pm_card_authenticationRequired',
    label: 'A card with 3-D Secure',
    about: 'The bank asks you first whether it is you.',
  },
  {
    token: 'pm_sandbox_hang_after',
    label: 'A card whose answer gets lost',
    about: 'The payment service reserves the money and never says so.',
  },
]);

/**
 * Whether this shop takes a token. A real shop cannot know its customers' tokens: it would check length and alphabet.
 * @param {string} token
 */
export const isCard = (token) => CARDS.some((card) => card.token === token);
