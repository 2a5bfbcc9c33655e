// The one module that knows gradio: it mounts the views in the components of app/viewer.py and passes their events on.

import {Board} from './board.js';
import {Examples} from './cards.js';
import {download} from './dom.js';
import {Inside} from './inside.js';
import {Mirror} from './mirror.js';

/** @import {Drawing, Send} from './types.js' */

/** What `js_on_load` of a gr.HTML has.
 * @typedef {{element: HTMLElement, props: {value: any}, trigger: (event: string, details: unknown) => void,
 *   watch: (name: string, call: () => void) => void}} Component */

const EVENTS = {keep: 'download', recall: 'select', open: 'select'};

/** @param {string} selector */
const valueOf = (selector) => /** @type {HTMLInputElement | null} */ (document.querySelector(selector))?.value;

const typed = () => ({caption: valueOf('#caption textarea, #caption input'), seed: valueOf('#seed input')});

/** @param {'viewer' | 'board' | 'examples' | 'inside'} kind @param {Component} component */
function mount(kind, {element, props, trigger, watch}) {
  const root = /** @type {HTMLElement} */ (element.querySelector('.mv-root'));
  /** @type {Send} */
  const send = (what, details) => trigger(EVENTS[what], details);
  const view = kind === 'viewer' ? new Mirror(root, {send, typed}) : kind === 'board' ? new Board(root, {send})
    : kind === 'examples' ? new Examples(root, {send}) : new Inside(root);
  const show = () => {
    const {value} = props;
    if (kind === 'viewer' && isOvertaken(value)) return;
    view.show(value);
  };
  show();
  watch('value', show);
  if (kind === 'viewer') tellPlace();
}

/** A drawing for an empty box comes too late: somebody has typed meanwhile. @param {Drawing | null} value */
function isOvertaken(value) {
  const caption = typed().caption?.trim();
  return Boolean(value?.offered && caption && caption !== value.caption);
}

/** The place in the queue as a sentence: gradio writes it as "queue: 2/3" where the hint stands. */
function tellPlace() {
  const from = document.querySelector('#hint'), to = document.querySelector('#place p');
  if (!from || !to) return;
  const tell = () => {
    const [, place, all] = from.textContent?.match(/queue: (\d+)\/(\d+)/) ?? [];
    const text = place === undefined ? '' : `Others are drawing. You are number ${place} of ${all} in the queue.`;
    if (to.textContent !== text) to.textContent = text;
  };
  new MutationObserver(tell).observe(from, {subtree: true, childList: true, characterData: true});
}

/** Puts what app/viewer.py and app/interface.py call into the page. */
export function start() {
  Object.assign(window, {MirrorGAN: {mount, download}});
  window.dispatchEvent(new Event('mirrorgan'));
}
