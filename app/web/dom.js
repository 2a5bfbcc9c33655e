// Making parts of the page. Text enters it through textContent only.

/** @typedef {string | number | boolean | null | undefined | ((event: any) => void)} Attribute */
/** @typedef {Node | string | null | undefined} Child */

/** An element. Attributes that are null, undefined or false are left out; those that begin with "on" are listeners.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag @param {Record<string, Attribute>} [attributes] @param {(Child | Child[])[]} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === 'function') node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** @param {string} text */
export const quiet = (text) => make('small', {}, text);

/** Text that somebody typed or a model said, of whatever direction. @param {string} text */
export const named = (text) => make('bdi', {}, text);

/** Nothing should move. */
export const calm = () => matchMedia('(prefers-reduced-motion: reduce)').matches;

/** @param {HTMLCanvasElement} canvas */
export const contextOf = (canvas) => /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));

/** @param {string} address */
export const picture = (address) => Object.assign(new Image(), {src: address, alt: ''});

/** Of a group of buttons the arrow keys walk through, one is reached by Tab. @param {HTMLElement[]} buttons */
export function rove(buttons) {
  buttons.forEach((button, at) => button.setAttribute('tabindex', at ? '-1' : '0'));
}

/** @param {string} address @param {string} name */
export function download(address, name) {
  const link = make('a', {href: address, download: name});
  document.body.append(link);
  link.click();
  link.remove();
  document.dispatchEvent(new Event('mirrorgan-saved'));
}
