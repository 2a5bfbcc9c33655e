// What was read from a picture that somebody brought.

import {make} from './dom.js';
import {percent} from './numbers.js';
import {legend} from './redescription.js';
import {scoreRows} from './scores.js';
import {MEANINGS, SIGNS} from './sentences.js';

/** @import {MatchKind, ReadingValue} from './types.js' */

/** @param {string} text @param {MatchKind | 'plain'} kind @param {string | null} note */
const word = (text, kind, note = null) => make('span', {class: `mv-said mv-${kind}`},
  kind === 'plain' || kind === 'neutral' ? null : make('b', {role: 'img', 'aria-label': MEANINGS[kind]}, SIGNS[kind]),
  kind === 'dropped' ? make('s', {}, make('bdi', {}, text)) : make('bdi', {}, text), note ? make('small', {}, note) : null);

/** @param {HTMLElement} root @returns {(value: ReadingValue) => void} */
export function reading(root) {
  const grid = make('div', {class: 'mb-reading'});
  root.replaceChildren(grid);
  return ({image, typed, read, chances, matches, complete, verdict, scores, unused, cut, max_words}) => {
    const words = matches.length
      ? matches.flatMap(({kind, typed: from, read: to}) => kind === 'dropped' ? from.map((at) => word(typed[at], kind))
        : to.map((at) => word(read[at], kind, percent(chances[at]))))
      : read.map((text, at) => word(text, 'plain', percent(chances[at])));
    grid.replaceChildren(
      make('figure', {}, make('img', {class: 'mb-large', src: image, alt: 'The middle of your picture'})),
      make('div', {}, make('h2', {}, 'What the model sees in this picture'), verdict ? make('p', {class: 'mv-verdict'}, make('bdi', {}, verdict)) : null, make('div', {class: 'mv-sentence', 'aria-label': `Read: ${read.join(' ')}`, role: 'group'}, words, complete ? null : '…'),
        matches.length ? make('p', {class: 'mv-legend'}, legend(/** @type {MatchKind[]} */ (Object.keys(SIGNS)))) : null,
        unused.length ? make('p', {class: 'mv-note'}, `Not in the vocabulary and ignored: ${unused.join(', ')}.`) : null,
        cut.length ? make('p', {class: 'mv-note'}, `Only the first ${max_words} known words count. Left out: ${cut.join(', ')}.`) : null,
        scores.length ? make('dl', {class: 'mv-scores'}, scoreRows(scores)) : null));
  };
}
