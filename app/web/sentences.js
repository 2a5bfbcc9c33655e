// What is said of a drawing's maps, as plain text.

import {number, percent} from './numbers.js';

/** @import {Found, MatchKind, Missing} from './types.js' */
/** @import {Scene} from './scene.js' */

/** @type {Record<MatchKind, string>} */
export const SIGNS = {equal: '=', moved: '⇄', replaced: '≠', dropped: '−', added: '+'};
/** @type {Record<MatchKind, string>} */
export const MEANINGS = {equal: 'the same word', moved: 'the same, elsewhere', replaced: 'another word', dropped: 'not read back', added: 'only read back'};
export const WHOLE = 'the whole sentence';

/** @param {string} text */
const quoted = (text) => `“${text}”`;

/** Why a word has no map here. @param {Scene} scene */
export function whyDeaf(scene) {
  if (scene.complete && scene.masks.length) return 'This model has no word attention; its masks are for the whole sentence.';
  if (scene.complete && !scene.hasWordMaps) return 'This model has no word attention.';
  return scene.stage === 0 ? 'The first stage has no word attention: it knows the sentence only as a whole.' : 'This stage has no word attention.';
}

/** Whose map it is. @param {Scene} scene @param {Found} found */
export function nameOf({drawing}, {kind, at, partner}) {
  if (kind === 'sentence') return WHOLE;
  if (kind === 'mask') return `mask ${at + 1}`;
  return quoted(kind === 'read' && partner === undefined ? (drawing.read?.words[at] ?? '') : drawing.words[partner ?? at].text);
}

/** What a word that was read back is to the caption. @param {Scene} scene @param {number} at */
function senseOf(scene, at) {
  const {words, read} = scene.drawing;
  const match = scene.matchOf('read', at);
  const stands = match?.typed.map((place) => quoted(words[place].text)).join(' ');
  const senses = {equal: 'is in the caption too', moved: 'is in the caption too, at another place', replaced: `stands where the caption has ${stands}`,
    added: 'has nothing in the caption that it matches', dropped: ''};
  return `${quoted(read?.words[at] ?? '')} ${senses[match?.kind ?? 'added']}.`;
}

/** Why there is no map. @param {Scene} scene @param {Missing} none */
export function whyMissing(scene, {missing, at}) {
  if (missing === 'first') return 'The first stage has no map of the sentence.';
  if (missing === 'unused') return `${quoted(scene.drawing.words[at].text)} was not used.`;
  if (missing === 'deaf') return whyDeaf(scene);
  return missing === 'unmatched' ? senseOf(scene, at) : '';
}

/** What is to be known of a map beside its numbers, or null. @param {Scene} scene @param {Found} found */
export function noteOf(scene, found) {
  if (found.kind === 'mask') {
    return `Block ${found.at + 1} of ${scene.masks.length}: bright is where it let the sentence change the picture, dark where it did not.`;
  }
  if (found.kind !== 'read') return null;
  return `${senseOf(scene, found.at)} The map is ${found.partner === undefined ? 'where the reader looked for it' : `that of ${nameOf(scene, found)}`}.`;
}

/** What the place that is pointed at attended to. @param {Scene} scene */
export function whatIsHeard(scene) {
  const heard = scene.drawing.words.flatMap((word) => {
    const share = scene.heard(word);
    return share === null ? [] : [{share, text: word.text}];
  });
  heard.sort((a, b) => b.share - a.share);
  return 'This place heard ' + heard.slice(0, 3).map(({share, text}) => `${quoted(text)} ${percent(share)}`).join(', ') + '.';
}

/** The one sentence about what is pointed at. @param {Scene} scene */
export function speechOf(scene) {
  const {target} = scene;
  const found = target === null ? null : scene.find(target);
  if (found && 'missing' in found) return whyMissing(scene, found);
  const note = found && noteOf(scene, found);
  if (note) return note;
  if (scene.spot && scene.wordMaps && !scene.hot) return whatIsHeard(scene);
  if (found) {
    const {map, index} = found;
    return `${nameOf(scene, found)}: peak ${number(map.high[index])} at row ${map.row[index] + 1}, column ${map.column[index] + 1}.`;
  }
  return scene.stage === 0 && scene.drawing.stages.length > 1 && !scene.maps[0].words ? whyDeaf(scene) : '';
}

/** Remarks on the caption: words that were not used, and what the model does not have. @param {Scene} scene */
export function remarksOf(scene) {
  const {words, max_words} = scene.drawing;
  const lines = words.filter((word) => word.place === null && !word.cut).map((word) =>
    `${quoted(word.text)} is not in the vocabulary and was ignored.` + (word.near ? ` Nearest known word: ${quoted(word.near)}.` : ''));
  const cut = words.filter((word) => word.cut).map((word) => quoted(word.text));
  if (cut.length) lines.push(`Only the first ${max_words} known words were drawn. Left out: ${cut.join(', ')}.`);
  const model = scene.hasWordMaps || !scene.complete ? null
    : scene.masks.length ? 'This model does not listen to single words. Each of its blocks draws a mask of where the sentence may change the picture: bright is where it may.'
      : scene.hasSentenceMap ? 'This model does not listen to single words: it has no word maps.' : 'This model listens to the sentence only as a whole, before it draws: it has no maps.';
  return {lines: [...new Set(lines)], model};
}

/** How to begin. @param {Scene} scene @param {boolean} touch */
export function invitation(scene, touch) {
  if (scene.masks.length) return 'Point at the number of a mask to see it on the picture; click to keep it.';
  if (!scene.hasWordMaps) return '';
  return touch ? 'Tap a word to see where it went. Tap the picture to see which words it heard there.'
    : 'Point at a word to see where it went; click to keep it. Point at the picture to see which words it heard there.';
}
