// What makes the pages nicer. Nothing here keeps a payment from happening twice: that is the server's work, and it does
// it for browsers that never run this.
'use strict';

const POLL_MS = 700;
const POLL_FAILED_MS = 2000;

// The button says what is going on, and a second click does nothing.
for (const form of document.querySelectorAll('form[data-pay]')) watchForm(form);

function watchForm(form) {
  const button = form.querySelector('button');
  const words = button.textContent;
  form.addEventListener('submit', (event) => {
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = 'yes';
    button.setAttribute('aria-disabled', 'true');
    button.textContent = 'Paying…';
  });
  // Back from the next page, out of the browser's memory: the form is usable again.
  window.addEventListener('pageshow', (event) => {
    if (!event.persisted) return;
    delete form.dataset.sent;
    button.removeAttribute('aria-disabled');
    button.textContent = words;
  });
}

// An order that is not finished is looked at until it is. Only parts that changed are replaced, so that a screen reader
// hears the news and nothing else, and the focus stays where it is.
const main = document.querySelector('main[data-order]');
const seen = new Map();
if (main && 'unfinished' in main.dataset) {
  for (const part of main.querySelectorAll('[data-part]')) seen.set(part.id, part.innerHTML);
  look();
}

async function look() {
  let pauseMs = POLL_MS;
  try {
    const response = await fetch(location.href, { cache: 'no-store', signal: AbortSignal.timeout(10_000) });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    const fresh = new DOMParser().parseFromString(await response.text(), 'text/html');
    document.getElementById('connection').hidden = true;
    document.title = fresh.title;
    const isRecordOpen = document.getElementById('record')?.open;
    for (const part of main.querySelectorAll('[data-part]')) replace(part, fresh.getElementById(part.id));
    if (isRecordOpen) document.getElementById('record')?.setAttribute('open', '');
    if (!fresh.querySelector('main[data-unfinished]')) return;
  } catch {
    // The shop is away, not the payment.
    document.getElementById('connection').hidden = false;
    pauseMs = POLL_FAILED_MS;
  }
  setTimeout(look, pauseMs);
}

function replace(part, fresh) {
  if (!fresh || seen.get(part.id) === fresh.innerHTML) return;
  seen.set(part.id, fresh.innerHTML);
  part.replaceChildren(...fresh.childNodes);
  for (const form of part.querySelectorAll('form[data-pay]')) watchForm(form);
}
