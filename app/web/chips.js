// The words of the caption as buttons, each with a thin bar: the share of the picture that it wins.

import {make, named, rove} from './dom.js';
import {percent} from './numbers.js';
import {parseTarget} from './scene.js';
import {KINDS, SIGNS, WHOLE, becameOf, remarksOf} from './sentences.js';

/** @import {Scene} from './scene.js' */

export class Chips {
  /** @param {(() => void) | null} divide called when territories are asked for; null: they are not offered */
  constructor(divide) {
    this.element = make('div', {class: 'mv-words', role: 'toolbar', 'aria-label': 'Words of the caption'});
    this.button = make('button', {type: 'button', class: 'mv-divide', 'aria-pressed': 'false', title: 'Every place in the colour of the word that it listens to most',
      onclick: divide ?? undefined}, 'Who won where');
    this.offered = divide !== null;
    this.note = make('p', {class: 'mv-note'});
    /** What the buttons were made for: a drawing that comes again keeps them. */
    this.made = '';
  }

  /** @param {Scene} scene */
  show(scene) {
    const {masks} = scene;
    const made = JSON.stringify([scene.drawing.words, scene.hasSentenceMap, masks.map(({columns, rows}) => [columns, rows])]);
    if (made !== this.made) this.build(scene);
    this.made = made;
    this.button.hidden = !this.offered || !scene.hasWordMaps;
    const {lines, model} = remarksOf(scene);
    this.note.replaceChildren(...lines.map((line) => make('span', {}, line)), ...(model ? [make('span', {class: 'mv-remark'}, model)] : []));
  }

  /** @param {Scene} scene */
  build(scene) {
    const {masks} = scene;
    const words = scene.drawing.words.map((word, at) => chip(`word ${at}`, word.place === null ? 'mv-unknown' : '',
      word.place === null ? `${word.text}, not used` : word.text,
      word.place === null ? make('s', {}, named(word.text)) : named(word.text), make('span', {class: 'mv-heard', 'aria-hidden': 'true'})));
    const whole = scene.hasSentenceMap ? [chip('sentence', 'mv-whole', null, WHOLE)] : [];
    const blocks = masks.map((mask, at) => chip(`mask ${at}`, 'mv-mask', `Mask of block ${at + 1} of ${masks.length}, ${mask.columns} by ${mask.rows}`, `${at + 1}`));
    const buttons = [...words, ...whole, ...blocks];
    rove(buttons);
    const focused = [...this.element.querySelectorAll('button')].findIndex((button) => button === document.activeElement);
    this.element.replaceChildren(...words, ...whole, ...(blocks.length ? [make('span', {class: 'mv-row'}, 'Masks, block by block'), ...blocks] : []));
    buttons[focused]?.focus();
  }

  /** @param {Scene} scene */
  paint(scene) {
    markTargets(this.element, scene);
    this.button.setAttribute('aria-pressed', String(scene.divided));
    for (const button of /** @type {NodeListOf<HTMLElement>} */ (this.element.querySelectorAll('.mv-word'))) {
      const {kind, at} = parseTarget(button.dataset.target ?? '');
      if (kind !== 'word') continue;
      const status = scene.drawing.read?.typed?.[at]?.status, match = status && KINDS[status];
      button.dataset.sign = match ? SIGNS[match] : '';
      button.title = match && match !== 'neutral' ? becameOf(scene, at, match) : '';
      const word = scene.drawing.words[at], heard = scene.heard(word), share = scene.shareOf(word);
      button.style.setProperty('--heard', (heard ?? 0).toFixed(3));
      button.style.setProperty('--bar', (heard ?? share ?? 0).toFixed(3));
      if (word.place !== null) button.setAttribute('aria-label', share === null ? word.text : `${word.text}, wins ${percent(share)} of the picture`);
    }
  }
}

/** @param {string} target @param {string} kind @param {string | null} label @param {(Node | string)[]} children */
function chip(target, kind, label, ...children) {
  return make('button', {type: 'button', class: `mv-word ${kind}`.trim(), 'data-target': target, 'aria-pressed': 'false', 'aria-label': label}, ...children);
}

/** Shows which buttons are pointed at, pinned, or belong to what is. @param {HTMLElement} group @param {Scene} scene */
export function markTargets(group, scene) {
  const {target, pinned} = scene;
  const mates = target === null ? [] : scene.mates(target);
  for (const button of /** @type {NodeListOf<HTMLElement>} */ (group.querySelectorAll('[data-target]'))) {
    const own = button.dataset.target ?? '';
    button.classList.toggle('mv-on', own === target);
    button.classList.toggle('mv-mate', mates.includes(own));
    button.setAttribute('aria-pressed', String(own === pinned));
  }
}
