// Drawings as cards: of several seeds, and the examples.

import {make} from './dom.js';

/** @import {CardsValue, ExamplesValue, Send} from './types.js' */

/** @param {HTMLElement} root @param {CardsValue} first @param {Send | null} send @returns {(value: CardsValue) => void} */
export function cards(root, first, send) {
  const grid = make('div', {class: first.of > 6 ? 'mb-cards mb-fours' : 'mb-cards'}), count = make('p', {class: 'mb-count', role: 'status'});
  root.replaceChildren(count, grid);
  return ({cards: drawn, of, best = false}) => {
    count.textContent = drawn.length < of ? `${drawn.length} of ${of}` : '';
    grid.replaceChildren(...drawn.map(({caption, seed, model, image, title, note}, at) => make('button', {type: 'button', class: best && at === 0 ? 'mb-best' : null,
      title: 'Open in Draw', 'aria-label': `Open in Draw: ${title} ${note}`, onclick: () => send?.('open', {caption, seed, model})},
    make('img', {src: image, alt: ''}), make('b', {}, best && at === 0 ? `best: ${title}` : title), note ? make('small', {}, note) : null)));
  };
}

/** The row of examples: a click draws one. */
export class Examples {
  /** @param {HTMLElement} root @param {{send: Send}} options */
  constructor(root, {send}) {
    this.root = root;
    this.send = send;
    root.classList.add('mv');
  }

  /** @param {ExamplesValue | null | undefined} value */
  show(value) {
    this.root.replaceChildren(...(value?.cards?.length ? [make('div', {class: 'mb-examples', role: 'group', 'aria-label': 'Examples'}, value.cards.map((card, place) =>
      make('button', {type: 'button', onclick: () => this.send('open', {place})}, make('img', {src: card.image, alt: ''}), make('span', {}, card.caption))))] : []));
  }
}
