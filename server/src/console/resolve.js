// Resolving: an operator states what the PSP's books show, after a second look at what the statement does.

import { Refusal, newKey, resolve } from './api.js';
import { el } from './dom.js';
import { money } from './format.js';

/** @typedef {{value: string, operation: string, outcome: string, label: string, does: string, needsReference: boolean, takesReference: boolean}} Choice */

/** What each choice does to the money. Whoever resolves reads it before and after choosing. @param {any} attempt @returns {Choice[]} */
export function choices(attempt) {
  const { operation, currency, capture_method: method, authorization } = attempt;
  const amount = money(attempt.amount, currency);
  const isAutomatic = method === 'automatic';
  const none = { takesReference: false, needsReference: false };
  const yes = { value: 'happened', outcome: 'happened', operation: operation.name, takesReference: true, needsReference: !authorization };
  const no = { value: 'did_not_happen', outcome: 'did_not_happen', operation: operation.name, ...none };
  const name = attempt.status === 'CAPTURED' && operation.name === 'capture' ? 'difference' : operation.name;
  switch (name) {
    case 'authorize':
      return [
        {
          ...yes,
          label: isAutomatic ? `The PSP reserved or took ${amount}` : `The PSP reserved ${amount}`,
          does: isAutomatic
            ? `The customer pays. At a PSP that reserves and takes in one call (Stripe) the attempt ends as captured, and nothing is sent. At any other it becomes authorized, and Pay Once asks the PSP to take the ${amount} next.`
            : `The ${amount} stay reserved on the customer's card. The attempt becomes authorized, and the merchant can capture or void it. Nothing is sent to the PSP now.`,
        },
        {
          ...no,
          label: 'The PSP did not do it',
          does: `The customer does not pay. The attempt ends as declined, and the merchant may start a new payment. If the PSP did reserve the ${amount} after all, the customer may be charged twice: choose this only if the books show no payment.`,
        },
      ];
    case 'capture':
      return [
        { ...yes, label: 'The PSP took the money', does: 'The customer has paid. The attempt ends as captured. Nothing is sent to the PSP.' },
        {
          ...no,
          label: 'The PSP did not take the money',
          does: 'The customer does not pay. The attempt ends as declined, and Pay Once asks the PSP to release what is reserved. If the PSP did take the money after all, goods may be withheld from a customer who has paid.',
        },
      ];
    case 'void': {
      const all = [
        { ...yes, label: 'The PSP released the money', does: 'The customer does not pay. The attempt ends as released. Nothing is sent to the PSP.' },
        { ...no, label: 'The PSP did not release the money', does: 'The money is still reserved. Pay Once asks the PSP once more to release it.' },
      ];
      const captured = {
        ...yes,
        value: 'captured',
        operation: 'capture',
        needsReference: true,
        label: 'The PSP took the money before',
        does: 'The customer has paid. The attempt ends as captured, and nothing is released. Give the reference of the capture.',
      };
      return operation.reason?.includes('restored from a backup') ? [...all, captured] : all;
    }
    case 'refund':
      return [
        { ...yes, label: 'The PSP gave the money back', does: 'The customer has the money. Nothing is sent to the PSP.' },
        { ...no, label: 'The PSP did not give the money back', does: 'The money is still with the merchant. Pay Once asks the PSP once more to give it back.' },
      ];
    default:
      return [
        {
          ...yes,
          takesReference: false,
          needsReference: false,
          label: 'I have corrected the difference at the PSP',
          does: 'The attempt stays captured, and the difference is closed. Nothing is sent to the PSP: money that was taken wrongly has to be corrected there first. Say in the reason what was done.',
        },
      ];
  }
}

/**
 * The form. It has one Idempotency-Key for as long as it is shown, so that no second click and no retry resolves twice.
 * @param {any} attempt @param {(answer: {status: number, body: any}) => void} done @returns {HTMLElement}
 */
export function form(attempt, done) {
  const idempotencyKey = newKey();
  const { operation, attempt_id: id } = attempt;
  const all = choices(attempt);
  const proposal = operation.proposal;
  let isUnderWay = false;

  const says = el('p', { class: 'says', role: 'alert', hidden: true });
  const reference = /** @type {HTMLInputElement} */ (el('input', { id: 'reference', autocomplete: 'off', spellcheck: 'false', maxlength: 255, 'aria-describedby': 'reference-about' }));
  const referenceAbout = el('p', { id: 'reference-about', class: 'hint' });
  const referenceField = el('div', { class: 'field', hidden: true }, el('label', { for: 'reference' }, "The PSP's reference"), reference, referenceAbout);
  const reason = /** @type {HTMLTextAreaElement} */ (el('textarea', { id: 'reason', required: true, maxlength: 500, rows: 2, 'aria-describedby': 'reason-about' }));
  const radios = all.map((choice, nth) => {
    const input = /** @type {HTMLInputElement} */ (el('input', { type: 'radio', name: 'outcome', value: choice.value, id: `outcome-${nth}`, required: true, 'aria-describedby': `does-${nth}`, change: choose }));
    const text = el('span', {}, el('span', { class: 'label' }, choice.label), el('span', { class: 'does', id: `does-${nth}` }, choice.does));
    return { choice, input, shown: el('label', { class: 'choice', for: `outcome-${nth}` }, input, text) };
  });
  const chosen = () => radios.find(({ input }) => input.checked)?.choice;

  function choose() {
    const choice = chosen();
    referenceField.hidden = !choice?.takesReference;
    reference.required = choice?.needsReference ?? false;
    referenceAbout.textContent = choice?.needsReference
      ? 'Needed: Pay Once knows no object of this payment at the PSP.'
      : 'May be left out: Pay Once knows the object.';
  }

  /** @param {string} text */
  function say(text) {
    says.textContent = text;
    says.hidden = false;
    says.scrollIntoView({ block: 'nearest' });
  }

  const dialog = /** @type {HTMLDialogElement} */ (el('dialog', { 'aria-labelledby': 'confirm-title', class: 'confirm' }));
  const made = el(
    'form',
    { class: 'resolve', submit: review, novalidate: false },
    proposal ? proposed(proposal, reasonOf(proposal, attempt.timeline), adopt) : null,
    el('fieldset', {}, el('legend', {}, `What do the PSP's own books show of this ${operation.name}?`), ...radios.map(({ shown }) => shown)),
    referenceField,
    el('div', { class: 'field' }, el('label', { for: 'reason' }, 'Reason'), reason, el('p', { id: 'reason-about', class: 'hint' }, 'Where you saw it, and the number of the incident. It is kept in the timeline with your name.')),
    says,
    el('button', { type: 'submit', class: 'primary' }, 'Review'),
    dialog,
  );

  function adopt() {
    const { choice, input } = radios.find((one) => one.choice.outcome === proposal.outcome) ?? radios[0];
    input.checked = true;
    choose();
    if (choice.takesReference) reference.value = proposal.psp_reference ?? '';
    reason.focus();
  }

  /** The second look. @param {Event} event */
  function review(event) {
    event.preventDefault();
    const choice = chosen();
    if (!choice) return;
    const send = /** @type {HTMLButtonElement} */ (el('button', { type: 'button', class: 'primary', id: 'confirm', click: () => confirm(choice, send) }, 'Resolve'));
    const facts = [
      ['You state', choice.label],
      ['Attempt', `${id}, ${money(attempt.amount, attempt.currency)}`],
      ['Operation', `${choice.operation}, generation ${operation.generation}`],
      ...(choice.takesReference && reference.value.trim() ? [['Reference', reference.value.trim()]] : []),
      ['Reason', reason.value.trim()],
    ];
    dialog.replaceChildren(
      el('h3', { id: 'confirm-title' }, `Resolve this ${operation.name}?`),
      el('dl', { class: 'facts' }, ...facts.map(([term, value]) => el('div', {}, el('dt', {}, term), el('dd', {}, value)))),
      el('p', { class: 'consequence' }, choice.does),
      el('p', { class: 'hint' }, 'It cannot be taken back. Where two operators have to agree, it is a proposal until another operator states the same.'),
      el('div', { class: 'buttons' }, el('button', { type: 'button', click: () => dialog.close() }, 'Go back'), send),
    );
    dialog.showModal();
    send.focus();
  }

  /** @param {Choice} choice @param {HTMLButtonElement} button */
  async function confirm(choice, button) {
    if (isUnderWay) return;
    isUnderWay = true;
    button.disabled = true;
    button.textContent = 'Resolving …';
    const named = choice.takesReference ? reference.value.trim() : '';
    const body = {
      reason: reason.value.trim(),
      operation: choice.operation,
      generation: operation.generation,
      outcome: choice.outcome,
      ...(named ? { psp_reference: named } : {}),
    };
    try {
      const answer = await resolve(id, body, idempotencyKey);
      dialog.close();
      done(answer);
    } catch (error) {
      dialog.close();
      if (!(error instanceof Refusal)) throw error;
      const unknown = 'Whether it took effect is not known. Send the same again: it counts once.';
      say(error.status === 0 ? `${error.message} ${unknown}` : error.message);
      if (error.field === 'psp_reference') {
        referenceField.hidden = false;
        reference.focus();
      }
    } finally {
      isUnderWay = false;
    }
  }

  return made;
}

/** Why another operator proposed it, as the timeline has it. @param {any} proposal @param {import('./story.js').Line[]} [lines] */
function reasonOf({ operator }, lines = []) {
  const said = lines.findLast((line) => line.event.startsWith('an operator proposes') && line.details?.operator === operator);
  return said?.details?.reason;
}

/** Another operator's statement. @param {any} proposal @param {string | undefined} reason @param {() => void} adopt */
function proposed(proposal, reason, adopt) {
  const reference = proposal.psp_reference ? ` with the reference ${proposal.psp_reference}` : '';
  return el(
    'div',
    { class: 'proposal' },
    el('p', {}, el('strong', {}, proposal.operator), ` proposes “${proposal.outcome.replaceAll('_', ' ')}”${reference}${reason ? `: ${reason}` : ''}. It takes effect when another operator states the same. A different statement replaces it.`),
    el('button', { type: 'button', click: adopt }, 'Fill in the same'),
  );
}
