// Elements. Data gets in as text only: nothing here makes markup of a string.

const SVG = 'http://www.w3.org/2000/svg';

/**
 * Attributes of an element: `false` and `undefined` leave one out, functions are listeners (`click`), the rest is text.
 * @typedef {Record<string, string | number | boolean | undefined | ((event: any) => void)>} Attributes
 */

/** @param {Element} made @param {Attributes} attributes @param {Array<Node | string | null | undefined>} children */
function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') made.addEventListener(name, value);
    else if (value !== false && value !== undefined) made.setAttribute(name, value === true ? '' : String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/**
 * @param {string} name @param {Attributes} [attributes] @param {...(Node | string | null | undefined)} children
 * @returns {HTMLElement}
 */
export function el(name, attributes = {}, ...children) {
  return /** @type {HTMLElement} */ (fill(document.createElement(name), attributes, children));
}

/** @param {string} name @param {Attributes} [attributes] @param {...(Node | string | null | undefined)} children */
export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

/** The element of the page with this id. @param {string} id @returns {any} */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}
