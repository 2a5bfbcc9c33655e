// Who won where: at every place the words share 100 % of the attention, and the place goes to the word with the most.

import {sample} from './maps.js';

/** @import {Colour, Maps, Point, Territories, Word} from './types.js' */

/** Words that name nothing that can be seen. */
const FUNCTION_WORDS = new Set(('a an the this that these those it its it\'s his her their they which who there is are was were be been being has have had '
  + 'having with without and or but of on in at to from for by as into over under near very quite rather also all both some any no not').split(' '));

/** @param {string} word */
export const isFunctionWord = (word) => FUNCTION_WORDS.has(word.toLowerCase());

/** Colours that captions name, in the tone in which a territory is told from the others. @type {Record<string, Colour>} */
const NAMED = {
  red: [214, 56, 50], crimson: [176, 24, 62], yellow: [250, 214, 50], golden: [222, 170, 30], gold: [222, 170, 30], orange: [240, 130, 30], blue: [52, 110, 214],
  green: [52, 150, 72], brown: [134, 88, 52], tan: [206, 172, 126], black: [34, 34, 38], white: [250, 250, 250], purple: [132, 72, 170], pink: [240, 140, 176],
  teal: [20, 140, 140], turquoise: [48, 200, 190], olive: [128, 128, 40], grey: [96, 112, 130], gray: [96, 112, 130],
};
/** Colours of all other words; their labels say whose they are. @type {Colour[]} */
const HUES = [[86, 180, 233], [204, 121, 167], [0, 158, 115], [230, 159, 0], [140, 107, 209], [213, 94, 0], [240, 228, 66], [0, 114, 178],
  [127, 191, 63], [227, 85, 111], [63, 184, 175], [176, 122, 58]];
/** @type {Colour} */
const GREY = [150, 150, 150];

const LABELLED = 0.012; // share of the picture from which on a territory has a name on it

/** @param {Colour} one @param {Colour} other */
const apart = (one, other) => Math.hypot(...one.map((part, channel) => part - other[channel]));

/** The colour of every word of a caption, by its place on the L axis: a colour word has its own, function words are grey,
 * and any other word has the next colour that is not like one in use. @param {Word[]} words @returns {Colour[]} */
export function huesOf(words) {
  const texts = words.filter((word) => word.place !== null).map((word) => word.text);
  const used = texts.flatMap((text) => (NAMED[text] ? [NAMED[text]] : []));
  return texts.map((text) => {
    if (NAMED[text] || isFunctionWord(text)) return NAMED[text] ?? GREY;
    const free = HUES.filter((hue) => used.every((other) => apart(hue, other) > 60));
    const hue = free[0] ?? HUES[used.length % HUES.length];
    used.push(hue);
    return hue;
  });
}

/** Which word wins each of columns x rows points: the one with the highest value, of equal ones the first.
 * @param {Maps} map of all words @param {number} [columns] @param {number} [rows] @returns {Territories} */
export function divide(map, columns = map.width, rows = map.height) {
  const winners = new Uint8Array(columns * rows), count = map.lowest.length;
  const best = sample(map, 0, columns, rows);
  for (let word = 1; word < count; word++) {
    const values = sample(map, word, columns, rows);
    for (let at = 0; at < values.length; at++) {
      if (values[at] > best[at]) {
        best[at] = values[at];
        winners[at] = word;
      }
    }
  }
  const won = new Array(count).fill(0);
  for (let at = 0; at < winners.length; at++) won[winners[at]]++;
  return {height: rows, width: columns, winners, shares: won.map((places) => places / winners.length)};
}

/** How far every place is from any other territory and from the border, in places. @param {Territories} territories */
export function roomOf({height, width, winners}) {
  const far = new Float32Array(winners.length), diagonal = Math.SQRT2;
  /** @param {number} row @param {number} column @param {number} at @param {number} step */
  const reach = (row, column, at, step) => {
    const inside = row >= 0 && row < height && column >= 0 && column < width;
    const there = row * width + column;
    if (!inside || winners[there] !== winners[at]) return step / 2;
    return far[there] + step;
  };
  const sweep = (/** @type {number} */ direction) => {
    for (let one = 0; one < winners.length; one++) {
      const at = direction > 0 ? one : winners.length - 1 - one;
      const row = Math.floor(at / width), column = at % width;
      const nearest = Math.min(reach(row - direction, column, at, 1), reach(row, column - direction, at, 1),
        reach(row - direction, column - direction, at, diagonal), reach(row - direction, column + direction, at, diagonal));
      far[at] = direction > 0 ? nearest : Math.min(far[at], nearest);
    }
  };
  sweep(1);
  sweep(-1);
  return far;
}

/** Names that fit on the picture without covering each other, each where its territory has the most room that is free.
 * Those of large territories are placed first, those of function words last.
 * @param {Territories} territories @param {string[]} names by word
 * @param {(name: string) => {width: number, height: number}} measure in widths of the picture
 * @returns {(Point & {word: number})[]} middles of the names */
export function labelsOf(territories, names, measure) {
  const {width: columns, height: rows, winners, shares} = territories;
  const room = roomOf(territories);
  /** @type {(Point & {word: number, width: number, height: number})[]} */
  const placed = [];
  const order = shares.map((share, word) => ({share, word, last: isFunctionWord(names[word])})).filter(({share}) => share >= LABELLED)
    .sort((a, b) => Number(a.last) - Number(b.last) || b.share - a.share);
  for (const {word} of order) {
    const {width, height} = measure(names[word]);
    /** @type {number[]} */
    const own = [];
    winners.forEach((winner, at) => { if (winner === word) own.push(at); });
    own.sort((a, b) => room[b] - room[a]);
    for (const at of own.filter((place) => room[place] >= 0.4 * room[own[0]])) {
      const x = Math.min(1 - width / 2, Math.max(width / 2, ((at % columns) + 0.5) / columns));
      const y = Math.min(1 - height / 2, Math.max(height / 2, (Math.floor(at / columns) + 0.5) / rows));
      if (placed.some((other) => Math.abs(other.x - x) < (other.width + width) / 2 && Math.abs(other.y - y) < (other.height + height) / 2)) continue;
      placed.push({x, y, word, width, height});
      break;
    }
  }
  return placed.map(({x, y, word}) => ({x, y, word}));
}

/** Share of the outer places, an eighth of the width deep, that each word wins. @param {Territories} territories */
export function edgeShares({height, width, winners, shares}) {
  const deep = Math.max(1, Math.round(width / 8)), won = shares.map(() => 0);
  let outer = 0;
  winners.forEach((winner, at) => {
    const row = Math.floor(at / width), column = at % width;
    if (Math.min(row, column, height - 1 - row, width - 1 - column) >= deep) return;
    outer++;
    won[winner]++;
  });
  return won.map((count) => count / outer);
}

/** The function word that holds the background, if one does: at least a fifth of the picture, and more of its edge than
 * any other word. @param {Territories} territories @param {string[]} names by word
 * @returns {{word: number, share: number, edge: number} | null} */
export function sinkOf(territories, names) {
  const edges = edgeShares(territories);
  const word = edges.indexOf(Math.max(...edges));
  const share = territories.shares[word] ?? 0;
  return word >= 0 && isFunctionWord(names[word]) && share >= 0.2 ? {word, share, edge: edges[word]} : null;
}
