// Keeping a drawing: its link, its files.

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

/** Address of this page with a drawing. @param {Drawing} drawing */
export const linkTo = ({caption, seed, model}) =>
  `${location.origin}${location.pathname}?${new URLSearchParams({caption, seed: String(seed), model})}`;

export class Saving {
  /** @param {Send | null} send null: there is no server @param {() => string} view address of what is seen
   * @param {(text: string) => void} tell */
  constructor(send, view, tell) {
    this.element = make('div', {class: 'mv-keep'});
    this.send = send;
    this.view = view;
    this.tell = tell;
  }

  /** @param {Drawing} drawing */
  show(drawing) {
    const {caption, seed, model, sizes} = drawing, {send} = this;
    const view = make('button', {type: 'button', title: 'What is seen here, as a PNG',
      onclick: () => download(this.view(), `mirrorgan-seed-${seed}-view.png`)}, 'This view');
    this.element.replaceChildren(make('span', {class: 'mv-seed'}, `seed ${seed} · ${drawing.checkpoint} · ${sizes.at(-1)} px`));
    if (!send || location.origin === 'null') {
      this.element.append(view);
      return;
    }
    const here = linkTo(drawing);
    const copy = make('a', {href: here, title: 'Opens this page with this caption, seed and model', onclick: (/** @type {Event} */ event) => {
      if (!navigator.clipboard) return;
      event.preventDefault();
      navigator.clipboard.writeText(here).then(() => this.tell('The link is copied.'), () => { location.href = here; });
    }}, 'Link');
    const files = FILES.map(([kind, name, title]) =>
      make('button', {type: 'button', title, onclick: () => send('keep', {kind, caption, seed, model})}, name));
    this.element.append(copy, make('details', {class: 'mv-files'}, make('summary', {}, 'Save'), make('div', {}, view, files)));
  }
}
