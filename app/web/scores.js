// Scores and times.

import {make, quiet} from './dom.js';
import {clamp} from './numbers.js';

/** @import {Drawing, Score} from './types.js' */

/** Rows of a <dl>: each score with its place between worst and best, and behind "?", unless briefly, its range and what
 * it means. @param {Score[]} scores */
export function scoreRows(scores, brief = false) {
  return scores.map(({name, value, low, high, meaning}) => make('div', {}, make('dt', {}, name), make('dd', {},
    make('b', {}, value.toFixed(2)),
    low === null ? make('span') : make('meter', {min: 0, max: 1, value: clamp((value - low) / (high - low), 0, 1), 'aria-hidden': 'true'}),
    brief ? null : meaningOf(name, `${low === null ? `at most ${high}` : `${low} to ${high}`}. ${meaning}`))));
}

/** @param {string} name @param {string} text */
const meaningOf = (name, text) => make('details', {class: 'mv-meaning'}, make('summary', {'aria-label': `What ${name} means`, title: text}, '?'), quiet(text));

/** @param {Drawing} drawing */
export function timeRows({timings}) {
  if (!timings.length) return [];
  const all = timings.reduce((sum, [, time]) => sum + time, 0);
  return [make('div', {}, make('dt', {}, 'time'), make('dd', {}, make('b', {}, `${Math.round(all)} ms`), make('span'),
    meaningOf('time', timings.map(([part, time]) => `${part} ${Math.round(time)}`).join(' · '))))];
}
