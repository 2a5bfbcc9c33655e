// The page around the mirror: it follows what is typed and what is shown. It knows no server; where something has to
// be drawn it presses the button that a person would press.

import {followAddress} from './address.js';
import {read, write} from './session.js';
import {followShown} from './shown.js';
import {welcome} from './welcome.js';

/** @import {Drawing} from './types.js' */

const PAUSE = 700; // milliseconds after the last key until a drawing is read back by itself
const LONGEST = 400; // characters of a caption
const COUNTED = 300; // characters from which they are counted

/** @param {string} selector @returns {HTMLElement | null} */
export const find = (selector) => document.querySelector(selector);
export const caption = () => /** @type {HTMLTextAreaElement | null} */ (find('#caption textarea, #caption input'));
export const seed = () => /** @type {HTMLInputElement | null} */ (find('#seed input'));

export const typed = () => ({caption: caption()?.value, seed: seed()?.value});

/** What the boxes above ask for, as one text. */
export const asked = () => JSON.stringify(typed());

/** @param {HTMLElement | null} element @param {string} text */
export function say(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

/** Writes into a box as a person would. @param {HTMLTextAreaElement | HTMLInputElement | null} box @param {string} text */
function fill(box, text) {
  if (!box || box.value === text) return;
  box.value = text;
  box.dispatchEvent(new Event('input', {bubbles: true}));
}

/** What a screen reader says of a finished drawing. @param {Drawing} drawing */
export function sentenceOf({seed, read}) {
  return `Drawn with seed ${seed}. ${read ? `It reads: ${read.words.join(' ')}.` : 'This model does not read it back.'}`;
}

/** @param {HTMLElement} mirror the viewer's root */
export function follow(mirror) {
  /** @type {Drawing | null} */
  let shown = null;
  let timer = 0, waits = false;

  /** Marks a drawing that does not fit its boxes any more. */
  const compare = () => {
    const {caption, seed} = typed();
    const fits = !shown || shown.still || caption === undefined
      || ((caption === shown.asked || caption.trim() === shown.caption) && String(shown.seed) === (seed ?? '').trim());
    mirror.toggleAttribute('data-outdated', !fits);
    for (const board of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('.mb[data-asked]'))) {
      board.toggleAttribute('data-outdated', board.dataset.asked !== asked());
    }
    return fits;
  };
  /** Has a sketch read back after a pause, once it is there. */
  const readBack = () => {
    waits = true;
    if (!shown || shown.done || shown.still || shown.stages.length < shown.sizes.length || !compare()) return;
    waits = false;
    find('#draw')?.click();
  };
  const count = () => {
    const length = caption()?.value.length ?? 0;
    say(find('#place .mg-count'), length < COUNTED ? '' : `${length} of ${LONGEST} characters`);
    find('#place .mg-count')?.toggleAttribute('data-over', length > LONGEST);
  };
  document.addEventListener('input', (event) => {
    if (event.target !== caption() && event.target !== seed()) return;
    clearTimeout(timer);
    waits = false;
    timer = window.setTimeout(readBack, PAUSE);
    count();
    compare();
    const {caption: text = '', seed: number = ''} = typed();
    write({caption: text, seed: number, search: location.search});
  });
  followShown((drawing) => {
    shown = drawing;
    compare();
    if (waits) readBack();
    if (!drawing.done || drawing.still) return;
    followAddress(drawing);
    write({caption: drawing.asked, seed: String(drawing.seed), search: location.search});
    say(find('#place .mg-live'), sentenceOf(drawing));
    if (drawing.offered) welcome(mirror);
  });
  tellOffline();
  restore();
}

/** Puts back what was typed and not yet drawn when the page was left by a refresh. */
function restore() {
  const before = read(), query = new URLSearchParams(location.search);
  if (!before.caption.trim() || before.search !== location.search || before.caption === query.get('caption')) return;
  if (caption()?.value) return;
  fill(seed(), before.seed);
  fill(caption(), before.caption);
}

function tellOffline() {
  const tell = () => say(find('#place .mg-offline'), navigator.onLine ? ''
    : 'You are offline. Drawing needs the server; pointing at what is drawn, history and cards still work.');
  addEventListener('offline', tell);
  addEventListener('online', tell);
  tell();
}
