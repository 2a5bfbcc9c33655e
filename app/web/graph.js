// Lines over a common axis.

import {make} from './dom.js';

/** @import {Line} from './types.js' */

const SVG = 'http://www.w3.org/2000/svg';
const DASHES = ['', '7 3', '2 3', '9 3 2 3'];
const LEFT = 46, RIGHT = 12, ABOVE = 12, BELOW = 22; // margins, in units of the drawing

/** @param {string} tag @param {Record<string, string | number>} attributes @param {(Node | string)[]} children */
function shape(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  node.append(...children);
  return node;
}

/** @param {number} value */
const tick = (value) => String(Number(value.toPrecision(3)));

/** A figure; each line has a name of its own in the legend. @param {string} title @param {Line[]} lines */
export function graph(title, lines, wide = 420, high = 170) {
  const points = lines.flatMap((line) => line.points);
  const xs = points.map(([x]) => x), ys = points.map(([, y]) => y);
  const left = Math.min(...xs), right = Math.max(...xs), low = Math.min(...ys), top = Math.max(...ys);
  /** @param {[number, number]} point */
  const at = ([x, y]) => [LEFT + ((wide - LEFT - RIGHT) * (x - left)) / (right - left || 1),
    high - BELOW - ((high - ABOVE - BELOW) * (y - low)) / (top - low || 1)].map((value) => value.toFixed(1)).join();
  /** @type {[number, number][]} */
  const levels = [[low, high - BELOW], [top, ABOVE + 2]];
  /** @type {[number, number, string][]} */
  const ends = [[left, LEFT, 'start'], [right, wide - RIGHT, 'end']];
  const drawing = shape('svg', {viewBox: `0 0 ${wide} ${high}`, role: 'img', 'aria-label': `${title}: from ${tick(ys[0])} to ${tick(/** @type {number} */ (ys.at(-1)))}`},
    shape('path', {d: `M${LEFT} 8V${high - BELOW}H${wide - RIGHT}`, class: 'mb-axis'}),
    ...levels.map(([value, y]) => shape('text', {x: LEFT - 4, y, 'text-anchor': 'end'}, tick(value))),
    ...ends.map(([value, x, anchor]) => shape('text', {x, y: high - 7, 'text-anchor': anchor}, tick(value))),
    ...lines.map((line, place) => shape('polyline', {points: line.points.map(at).join(' '), class: `mb-line mb-line-${place % 4}`, 'stroke-dasharray': DASHES[place % 4]})));
  const legend = lines.length > 1 ? make('p', {class: 'mb-legend'}, lines.map((line, place) => make('span', {class: `mb-key mb-line-${place % 4}`}, line.name))) : null;
  return make('figure', {class: 'mb-figure'}, make('figcaption', {}, title), drawing, legend);
}
