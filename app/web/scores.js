// Scores and times.

import {make, quiet} from './dom.js';
import {clamp} from './numbers.js';

/** @import {Drawing, Score} from './types.js' */

/** Rows of a <dl>: each score, unless briefly, with its range and what it means. @param {Score[]} scores */
export function scoreRows(scores, brief = false) {
  return scores.map(({name, value, low, high, meaning}) => make('div', {}, make('dt', {}, name), make('dd', {},
    make('b', {}, value.toFixed(2)),
    low === null ? null : make('meter', {min: 0, max: 1, value: clamp((value - low) / (high - low), 0, 1), 'aria-hidden': 'true'}),
    brief ? null : quiet(`${low === null ? `at most ${high}` : `${low} to ${high}`}. ${meaning}`))));
}

/** @param {Drawing} drawing */
export function timeRows({timings}) {
  if (!timings.length) return [];
  const all = timings.reduce((sum, [, time]) => sum + time, 0);
  return [make('div', {}, make('dt', {}, 'time'), make('dd', {}, make('b', {}, `${Math.round(all)} ms`),
    quiet(timings.map(([part, time]) => `${part} ${Math.round(time)}`).join(' · '))))];
}
