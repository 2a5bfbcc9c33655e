// The first visit: words light up while the picture grows, the sentence is typed out, and a word asks to be pointed at.
// It happens once; a key or a click ends it. Where nothing should move, only the last part is shown.

import {calm, make} from './dom.js';

const KEY = 'mirrorgan-seen';
const EACH = 150; // milliseconds from a word to the next
const LETTER = 28; // milliseconds from a letter to the next
const GROWS = 900; // milliseconds until the picture has grown
const STAYS = 9000; // milliseconds that the invitation stays
const COLOURS = /^(red|yellow|blue|green|orange|black|white|brown|gr[ae]y|purple|pink)$/;

function isFirst() {
  try {
    if (localStorage.getItem(KEY)) return false;
    localStorage.setItem(KEY, '1');
    return true;
  } catch {
    return false; // storage is switched off: rather never than every time
  }
}

/** Which word to point at: the first colour, or else the longest. @param {(string | null)[]} words */
export function wordToTry(words) {
  const texts = words.map((word) => word ?? '');
  const colour = texts.findIndex((text) => COLOURS.test(text));
  return colour >= 0 ? colour : texts.reduce((best, text, at) => (text.length > texts[best].length ? at : best), 0);
}

/** To be called when the first drawing is shown. @param {HTMLElement} root of the mirror */
export function welcome(root) {
  if (!isFirst()) return;
  const chips = /** @type {HTMLElement[]} */ ([...root.querySelectorAll('.mv-words [data-target^="word"]')]);
  const text = root.querySelector('.mv-text');
  if (!chips.length) return;
  /** @type {number[]} */
  const timers = [];
  /** @param {number} wait @param {() => void} call */
  const later = (wait, call) => { timers.push(window.setTimeout(call, wait)); };
  const sentence = text?.textContent ?? '';
  const chip = chips[wordToTry(chips.map((one) => one.textContent))];
  const tip = make('span', {class: 'mv-tip', 'aria-hidden': 'true'}, matchMedia('(pointer: coarse)').matches ? 'tap me' : 'hover me');

  /** Everything as it is without a welcome. */
  const end = () => {
    for (const timer of timers) clearTimeout(timer);
    for (const one of chips) one.classList.remove('mv-lit', 'mv-asks');
    if (text?.isConnected && text.querySelector('.mv-later')) text.textContent = sentence;
    tip.remove();
    for (const event of ['keydown', 'pointerdown', 'input']) document.removeEventListener(event, end, true);
    root.removeEventListener('pointerover', over);
  };
  /** @param {Event} event */
  const over = (event) => { if (event.target instanceof Element && event.target.closest('[data-target]')) end(); };
  const invite = () => {
    chip.classList.add('mv-asks');
    chip.append(tip);
    later(STAYS, end);
  };
  for (const event of ['keydown', 'pointerdown', 'input']) document.addEventListener(event, end, true);
  root.addEventListener('pointerover', over);
  if (calm() || document.hidden) {
    invite();
    return;
  }
  chips.forEach((one, at) => {
    later(at * EACH, () => one.classList.add('mv-lit'));
    later(at * EACH + 3 * EACH, () => one.classList.remove('mv-lit'));
  });
  if (text) {
    const said = document.createTextNode(''), rest = make('span', {class: 'mv-later'}, sentence); // it keeps its room
    text.replaceChildren(said, rest);
    for (let count = 1; count <= sentence.length; count += 1) {
      later(GROWS + count * LETTER, () => {
        said.data = sentence.slice(0, count);
        rest.textContent = sentence.slice(count);
      });
    }
  }
  later(GROWS + sentence.length * LETTER + 300, invite);
}
