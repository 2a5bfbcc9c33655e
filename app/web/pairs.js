// Drawings side by side: before and after, and several models.

import {make} from './dom.js';
import {Mirror, link} from './mirror.js';
import {percent} from './numbers.js';
import {scoreRows} from './scores.js';

/** @import {ModelsValue, PairValue} from './types.js' */

/** @param {HTMLElement} root @returns {(value: PairValue) => void} */
export function pair(root) {
  const sides = [make('div'), make('div')], titles = [make('h3'), make('h3')];
  const mirrors = sides.map((side) => new Mirror(side, {compact: true}));
  link(...mirrors);
  const apart = make('div', {class: 'mb-apart'});
  root.replaceChildren(make('div', {class: 'mb-pair'}, sides.map((side, at) => make('section', {}, titles[at], side)), apart));
  return ({left, right, difference, facts, moved}) => {
    [left, right].forEach((drawing, at) => {
      titles[at].replaceChildren(make('b', {}, ['Before', 'After'][at]), drawing ? ` ${drawing.caption}` : ' …');
      mirrors[at].show(drawing);
    });
    apart.replaceChildren();
    if (!difference) return;
    apart.append(make('h3', {}, difference.title), make('img', {class: 'mb-large', src: difference.image, alt: 'Map of how much each place changed, dark to light'}),
      ...facts.map((fact) => make('p', {}, fact)));
    if (moved.length) {
      apart.append(make('p', {}, 'Attention that went elsewhere:'), make('ul', {}, moved.map(({word, share}) =>
        make('li', {}, make('bdi', {}, word), ' ', make('b', {}, percent(share))))));
    }
  };
}

/** @param {HTMLElement} root @param {ModelsValue} first @returns {(value: ModelsValue) => void} */
export function models(root, first) {
  const built = first.sides.map(() => ({title: make('h3'), side: make('div'), below: make('div', {class: 'mb-judged'})}));
  const mirrors = built.map(({side}) => new Mirror(side, {compact: true}));
  link(...mirrors);
  root.replaceChildren(make('div', {class: 'mb-pair mb-models'}, built.map(({title, side, below}) => make('section', {}, title, side, below))));
  return ({sides, judge}) => sides.forEach(({model, drawing, trouble, read, scores}, at) => {
    const {title, side, below} = built[at];
    title.replaceChildren(make('b', {}, make('bdi', {}, model)),
      drawing ? ` ${drawing.checkpoint.replace(`${model} `, '')} · seed ${drawing.seed} · ${drawing.sizes.at(-1)} px` : trouble ? '' : ' …');
    side.hidden = !drawing;
    mirrors[at].show(drawing);
    below.replaceChildren();
    if (trouble) below.append(make('p', {class: 'mv-note', role: 'alert'}, trouble));
    if (read !== null) {
      below.append(make('h4', {}, 'Read by ', make('bdi', {}, judge)), make('p', {class: 'mv-text'}, read), make('dl', {class: 'mv-scores'}, scoreRows(scores, at > 0)));
    } else if (drawing && judge === null && sides.every((one) => one.drawing || one.trouble)) {
      below.append(make('p', {class: 'mv-wait'}, 'None of these models has a reader.'));
    }
  });
}
