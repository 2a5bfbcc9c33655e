// Keeping a drawing: its link, its files.

import {linkTo} from './address.js';
import {download, make} from './dom.js';

/** @import {Drawing, Send} from './types.js' */

const FILES = [
  ['png', 'PNG', 'The picture'],
  ['zip', 'Everything', 'All stages and maps as PNG, .npz and JSON'],
  ['gif', 'GIF', 'The stages growing'],
  ['webp', 'WebP', 'The stages growing, sharper'],
  ['npz', 'Maps', 'Attention as numbers, NumPy .npz'],
  ['json', 'JSON', 'Words, sentence, scores, times'],
  ['pdf', 'Figure PDF', 'A figure as papers print it'],
  ['figure', 'Figure PNG', 'The same figure as pixels'],
  ['html', 'HTML', 'This viewer with this drawing, works offline'],
];

export class Saving {
  /** @param {Send | null} send null: there is no server @param {() => string} view address of what is seen
   * @param {(text: string) => void} tell @param {() => Promise<string>} card address of the card to share */
  constructor(send, view, tell, card) {
    this.element = make('div', {class: 'mv-keep'});
    this.send = send;
    this.view = view;
    this.tell = tell;
    this.card = card;
    this.note = make('p', {class: 'mv-kept', role: 'status'});
    /** @type {HTMLDetailsElement | null} */
    this.menu = null;
    this.timer = 0;
    if (!send) return;
    document.addEventListener('pointerdown', (event) => { if (!(event.target instanceof Node && this.menu?.contains(event.target))) this.close(); });
    document.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape' || !this.menu?.open) return;
      event.stopPropagation();
      this.close();
      this.menu.querySelector('summary')?.focus();
    }, true);
    document.addEventListener('mirrorgan-saved', () => this.say('Saved.'));
  }

  close() {
    if (this.menu) this.menu.open = false;
  }

  /** Says beside the buttons how far it is. @param {string} text @param {number} [wait] milliseconds until it is gone */
  say(text, wait = 4000) {
    clearTimeout(this.timer);
    this.note.textContent = text;
    this.timer = window.setTimeout(() => { this.note.textContent = ''; }, wait);
  }

  /** @param {Drawing} drawing */
  show(drawing) {
    const {caption, seed, model, sizes} = drawing, {send} = this;
    const open = this.menu?.open ?? false;
    const view = make('button', {type: 'button', title: 'What is seen here, as a PNG',
      onclick: () => download(this.view(), `mirrorgan-seed-${seed}-view.png`)}, 'This view');
    const card = make('button', {type: 'button', class: 'mv-act', title: 'Picture, caption and read-back as one PNG of 1200 x 630 pixels', onclick: async () => {
      download(await this.card(), `mirrorgan-seed-${seed}-card.png`);
      this.say('The card is saved.');
    }}, 'Share card');
    const facts = make('span', {class: 'mv-seed'}, `seed ${seed} · ${drawing.checkpoint} · ${sizes.at(-1)} px`);
    if (!send || location.origin === 'null') {
      this.element.replaceChildren(card, view, this.note, facts);
      return;
    }
    const here = linkTo(drawing);
    const copy = make('a', {class: 'mv-act', href: here, title: 'Opens this page with this caption, seed and model', onclick: (/** @type {Event} */ event) => {
      if (!navigator.clipboard) return;
      event.preventDefault();
      navigator.clipboard.writeText(here).then(() => this.say('The link is copied.'), () => { location.href = here; });
    }}, 'Copy link');
    const files = FILES.map(([kind, name, title]) => make('button', {type: 'button', title, onclick: () => {
      this.close();
      this.say(`Making the file: ${name} …`, 60000);
      send('keep', {kind, caption, seed, model});
    }}, name));
    this.menu = make('details', {class: 'mv-files', open}, make('summary', {class: 'mv-act'}, 'Save'), make('div', {}, view, files));
    this.element.replaceChildren(copy, card, this.menu, this.note, facts);
  }
}
