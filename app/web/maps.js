// Attention maps: values of places, and the ends of their scale.
//
// K maps of height x width places lie one after another in `values`.

import {bytes, clamp} from './numbers.js';

/** @import {Ends, Maps, PackedMaps} from './types.js' */

/** Share of the places below which colours end where peaks are cut off. */
export const TOP = 0.99;

/** Maps with their values; see `pack` in app/payload.py. @param {PackedMaps} packed @returns {Maps} */
export function unpack(packed) {
  const places = packed.width * packed.height, {low, high} = packed;
  const values = Float32Array.from(bytes(packed.data), (bit, at) => {
    const index = Math.floor(at / places);
    return low[index] + (bit / 255) ** 2 * (high[index] - low[index]);
  });
  const maps = low.map((_, index) => values.subarray(index * places, (index + 1) * places));
  const highest = maps.map((map) => map.reduce((most, value) => Math.max(most, value), -Infinity));
  return {...packed, values, tops: {}, lowest: maps.map((map) => map.reduce((least, value) => Math.min(least, value), Infinity)),
    highest, summit: maps.map((map, index) => map.indexOf(highest[index]))};
}

/** The values are means over more places of the model. @param {PackedMaps} map */
export const isShrunk = (map) => map.height < map.rows || map.width < map.columns;

/** @param {Maps} map @param {number} index of the map @param {number} place row * width + column */
export const valueAt = (map, index, place) => map.values[index * map.height * map.width + place];

/** The value that a share TOP of the places stays below, in one map or, without an index, in all of them.
 * @param {Maps} map @param {number} [index]
 */
export function top(map, index) {
  const places = map.height * map.width, key = String(index ?? 'all');
  map.tops[key] ??= /** @type {number} */ ((index === undefined ? map.values.slice() : map.values.slice(index * places, (index + 1) * places))
    .sort().at(Math.floor(TOP * (index === undefined ? map.values.length : places))));
  return map.tops[key];
}

/** The ends of the colours, of one map or of all of them together; values that are drawn have both.
 * @param {Maps} map @param {number} index
 * @param {{shared: boolean, cut: boolean}} how @returns {Ends}
 */
export function endsOf(map, index, {shared, cut}) {
  const [low, high] = shared ? [Math.min(...map.lowest), Math.max(...map.highest)] : [map.lowest[index], map.highest[index]];
  const upper = cut ? top(map, shared ? undefined : index) : high;
  return upper > low && upper < 0.98 * high ? {low, high: upper, peak: high} : {low, high};
}

/** One map at columns x rows points, between its places by the nearest four (the middles of the outer places reach to
 * the border). As many points as places give the values themselves.
 * @param {Maps} map @param {number} index @param {number} columns @param {number} rows
 * @returns {Float32Array} row after row
 */
export function sample(map, index, columns, rows) {
  const {width, height, values} = map;
  const from = index * width * height, sampled = new Float32Array(columns * rows);
  const left = new Int32Array(columns), right = new Int32Array(columns), mix = new Float32Array(columns);
  for (let x = 0; x < columns; x++) {
    const at = clamp(((x + 0.5) * width) / columns - 0.5, 0, width - 1);
    left[x] = Math.floor(at);
    right[x] = Math.min(width - 1, left[x] + 1);
    mix[x] = at - left[x];
  }
  for (let y = 0, out = 0; y < rows; y++) {
    const at = clamp(((y + 0.5) * height) / rows - 0.5, 0, height - 1);
    const up = Math.floor(at), share = at - up;
    const above = from + up * width, below = from + Math.min(height - 1, up + 1) * width;
    for (let x = 0; x < columns; x++, out++) {
      const a = values[above + left[x]] * (1 - mix[x]) + values[above + right[x]] * mix[x];
      const b = values[below + left[x]] * (1 - mix[x]) + values[below + right[x]] * mix[x];
      sampled[out] = a * (1 - share) + b * share;
    }
  }
  return sampled;
}

/** Where a map crosses a level, as lines between the middles of its places: marching squares.
 * @param {Maps} map @param {number} index @param {number} level
 * @returns {number[]} x, y, x, y of each line, in [0, 1] */
export function contour({width, height, values}, index, level) {
  const from = index * width * height;
  /** @type {number[]} */
  const lines = [];
  for (let row = 0; row + 1 < height; row++) {
    for (let column = 0; column + 1 < width; column++) {
      const at = from + row * width + column;
      const corners = [values[at], values[at + 1], values[at + width + 1], values[at + width]]; // clockwise from the upper left
      const inside = corners.map((value) => value >= level);
      /** @type {number[][]} */
      const crossings = [];
      corners.forEach((value, side) => {
        const next = (side + 1) % 4;
        if (inside[side] === inside[next]) return;
        const way = (level - value) / (corners[next] - value);
        const [x, y] = [[way, 0], [1, way], [1 - way, 1], [0, 1 - way]][side];
        crossings.push([(column + x + 0.5) / width, (row + y + 0.5) / height]);
      });
      if (crossings.length === 4 && inside[0] === (corners.reduce((sum, value) => sum + value, 0) / 4 >= level)) {
        crossings.push(/** @type {number[]} */ (crossings.shift())); // a saddle: its middle is like the upper left corner
      }
      for (let one = 0; one + 1 < crossings.length; one += 2) lines.push(...crossings[one], ...crossings[one + 1]);
    }
  }
  return lines;
}
