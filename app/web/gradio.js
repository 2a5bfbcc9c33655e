// The one module that knows gradio: it mounts the views in the components of app/viewer.py and passes their events on.

import {Board} from './board.js';
import {Examples} from './cards.js';
import {download} from './dom.js';
import {Gallery} from './gallery.js';
import {Inside} from './inside.js';
import {Mirror} from './mirror.js';
import {asked, caption, find, follow, say, seed, typed} from './page.js';

/** @import {Drawing, Send} from './types.js' */

/** What `js_on_load` of a gr.HTML has.
 * @typedef {{element: HTMLElement, props: {value: any}, trigger: (event: string, details: unknown) => void,
 *   watch: (name: string, call: () => void) => void}} Component */

const HELD = 1000; // milliseconds that a place in the queue is not said
/** @type {Record<string, string>} */
const EVENTS = {keep: 'download', recall: 'select', open: 'select'};

/** @param {'viewer' | 'board' | 'examples' | 'gallery' | 'inside'} kind @param {Component} component */
function mount(kind, {element, props, trigger, watch}) {
  const root = /** @type {HTMLElement} */ (element.querySelector('.mv-root'));
  /** @type {Send} */
  const send = (what, details) => trigger(kind === 'viewer' && what === 'open' ? 'submit' : EVENTS[what], details);
  const view = kind === 'viewer' ? new Mirror(root, {send, typed, controls: document.querySelector('#controls')})
    : kind === 'board' ? new Board(root, {send, asked: root.closest('#reading') ? undefined : asked}) : kind === 'examples' ? new Examples(root, {send})
      : kind === 'gallery' ? new Gallery(root, {send}) : new Inside(root);
  if (kind === 'viewer') {
    follow(root);
    tellPlace();
  }
  const show = () => {
    const {value} = props;
    if (kind === 'viewer' && isOvertaken(value)) return;
    view.show(value);
  };
  show();
  watch('value', show);
}

/** A drawing for an empty box comes too late: somebody has typed meanwhile. @param {Drawing | null} value */
function isOvertaken(value) {
  const text = typed().caption?.trim();
  return Boolean(value?.offered && !value.still && text && text !== value.caption);
}

/** The place in the queue, from gradio's "queue: 2/3"; nothing if there is none. @param {string | null} text */
export function placeOf(text) {
  const [, place, all] = text?.match(/queue: (\d+)\/(\d+)/) ?? [];
  if (place === undefined) return '';
  return place === '1' ? 'Others are drawing. You are next in the queue.' : `Others are drawing. You are number ${place} of ${all} in the queue.`;
}

/** Says who is ahead; gradio names a place for an instant even where nobody is. */
function tellPlace() {
  const from = find('#hint'), to = find('#place .mg-place');
  if (!from || !to) return;
  let timer = 0;
  new MutationObserver(() => {
    const text = placeOf(from.textContent);
    if (!text) {
      clearTimeout(timer);
      timer = 0;
    }
    if (!text || to.textContent) say(to, text);
    else timer ||= window.setTimeout(() => { timer = 0; say(to, placeOf(from.textContent)); }, HELD); // seconds tick beside it
    const hint = /** @type {HTMLElement | null} */ (from.querySelector('.mg-hint'));
    for (const [box, name] of /** @type {const} */ ([[caption(), 'caption'], [seed(), 'seed']])) {
      if (hint?.dataset.box === name) box?.setAttribute('aria-invalid', 'true');
      else box?.removeAttribute('aria-invalid');
    }
  }).observe(from, {subtree: true, childList: true, characterData: true});
}

/** Puts what app/viewer.py and app/interface.py call into the page. */
export function start() {
  Object.assign(window, {MirrorGAN: {mount, download}});
  window.dispatchEvent(new Event('mirrorgan'));
}
