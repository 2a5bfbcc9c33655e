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
  return {...packed, values, tops: {}};
}

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

/** The ends of the colours, of one map or of all of them together.
 * @param {Maps} map @param {number} index
 * @param {{shared: boolean, cut: boolean}} how @returns {Ends}
 */
export function endsOf(map, index, {shared, cut}) {
  const [low, high] = shared ? [Math.min(...map.low), Math.max(...map.high)] : [map.low[index], map.high[index]];
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
