// Drawings that go wrong in a way worth seeing. They are shipped with the page; a click draws one again.

import {make, named} from './dom.js';

/** @import {GalleryValue, Send} from './types.js' */

export class Gallery {
  /** @param {HTMLElement} root @param {{send: Send}} options */
  constructor(root, {send}) {
    this.root = root;
    this.send = send;
    root.classList.add('mv');
  }

  /** @param {GalleryValue | null | undefined} value */
  show(value) {
    if (!value?.cards.length) return;
    this.root.replaceChildren(
      make('h2', {}, 'It knows birds and nothing else. Some captions show it:'),
      make('div', {class: 'mg-gallery', role: 'group', 'aria-label': 'Captions that go wrong'}, value.cards.map(({caption, seed, model, says, read, image}) =>
        make('button', {type: 'button', title: says, onclick: () => {
          this.send('open', {caption, seed, model});
          document.querySelector('#mirror')?.scrollIntoView({block: 'nearest'});
        }}, make('img', {src: image, alt: '', width: 160, height: 160}), make('b', {}, named(caption)), make('i', {}, named(read ?? '')), make('small', {}, says)))));
  }
}
