// What is said of a drawing's maps, as plain text.

import {fraction, number, percent} from './numbers.js';

/** @import {Found, MatchKind, Missing, Status, TargetKind} from './types.js' */
/** @import {Scene} from './scene.js' */

/** @type {Record<MatchKind, string>} */
export const SIGNS = {equal: '=', moved: '⇄', replaced: '≠', dropped: '−', added: '+', neutral: ''};
/** @type {Record<MatchKind, string>} */
export const MEANINGS = {equal: 'same', moved: 'moved', replaced: 'changed', dropped: 'missing', added: 'new', neutral: 'says nothing that a picture shows'};
/** What the viewer calls the status of a word of the caption. @type {Record<Status, MatchKind>} */
export const KINDS = {kept: 'equal', moved: 'moved', changed: 'replaced', missing: 'dropped', new: 'added', neutral: 'neutral'};
export const WHOLE = 'whole caption (sentence attention)';

/** @param {string} text */
const quoted = (text) => `“${text}”`;

/** Why a word has no map here. @param {Scene} scene */
export function whyDeaf(scene) {
  if (scene.complete && scene.masks.length) return 'This model has no word attention; its masks are for the whole caption.';
  if (scene.complete && !scene.hasWordMaps) return 'This model has no word attention.';
  return scene.stage === 0 ? 'The first stage has no word attention: it knows the caption only as a whole.' : 'This stage has no word attention.';
}

/** Whose map it is. @param {Scene} scene @param {Found} found */
export function nameOf({drawing}, {kind, at, partner}) {
  if (kind === 'sentence') return 'whole caption';
  if (kind === 'mask') return `mask ${at + 1}`;
  return quoted(kind === 'read' && partner === undefined ? (drawing.read?.words[at] ?? '') : drawing.words[partner ?? at].text);
}

/** What a word that was read back is to the caption. @param {Scene} scene @param {number} at */
function senseOf(scene, at) {
  const {words, read} = scene.drawing;
  const match = scene.matchOf('read', at);
  const stands = match?.typed.map((place) => quoted(words[place].text)).join(' ');
  const senses = {equal: 'is in the caption too', moved: 'is in the caption too, of something else', replaced: `stands where the caption has ${stands}`,
    added: 'has nothing in the caption that it matches', dropped: '', neutral: 'says nothing that a picture shows'};
  return `${quoted(read?.words[at] ?? '')} ${senses[match?.kind ?? 'added']}.`;
}

/** What became of a word of the caption in the sentence that was read back. @param {Scene} scene @param {number} at
 * @param {MatchKind} kind */
export function becameOf({drawing: {read}}, at, kind) {
  const partner = read?.typed?.[at]?.partner, other = partner === null || partner === undefined ? '' : quoted(read?.words[partner] ?? '');
  return {equal: 'Read back.', moved: 'Read back of something else.', replaced: `Read back as ${other}.`, dropped: 'Not read back.', added: '', neutral: ''}[kind];
}

/** Why there is no map. @param {Scene} scene @param {Missing} none */
export function whyMissing(scene, {missing, at}) {
  if (missing === 'first') return 'The first stage has no sentence attention: it starts from the summary of the caption.';
  if (missing === 'unused') return `${quoted(scene.drawing.words[at].text)} was not used.`;
  if (missing === 'deaf') return whyDeaf(scene);
  return missing === 'unmatched' ? senseOf(scene, at) : '';
}

/** What is to be known of a map beside its numbers, or null. @param {Scene} scene @param {Found} found */
export function noteOf(scene, found) {
  if (found.kind === 'mask') {
    return `Block ${found.at + 1} of ${scene.masks.length}: bright is where it let the caption change the picture, dark where it did not.`;
  }
  if (found.kind !== 'read') return null;
  return `${senseOf(scene, found.at)} The map is ${found.partner === undefined ? 'where the captioner looked for it' : `that of ${nameOf(scene, found)}`}.`;
}

/** What the place that is pointed at attended to. @param {Scene} scene */
export function whatIsHeard(scene) {
  const heard = scene.drawing.words.flatMap((word) => {
    const share = scene.heard(word);
    return share === null ? [] : [{share, text: word.text}];
  });
  heard.sort((a, b) => b.share - a.share);
  return 'This place listens to ' + heard.slice(0, 3).map(({share, text}) => `${quoted(text)} ${percent(share)}`).join(', ') + '.';
}

/** A value of a map with its unit. @param {TargetKind} kind @param {number} value */
export const valueText = (kind, value) => (kind === 'word' || kind === 'read' ? fraction(value) : number(value));

/** What a value of a map means. @param {Found} found */
export function meaningOf({kind, partner}) {
  if (kind === 'sentence') {
    return 'How strongly the summary of the whole caption acts at each place: the length of its context vector. It has no unit and no upper end; '
      + 'places do not share 100 %.';
  }
  if (kind === 'mask') return 'From 0, where the caption may not change the picture, to 1.';
  if (kind === 'read' && partner === undefined) return 'Where the captioner looked when it said the word: the places of the picture share 100 %.';
  return 'Each place divides 100 % of its attention among the words; this is the word\'s part.';
}

/** What is said first of a map: how much of the picture the word wins. @param {Scene} scene @param {Found} found */
export function leadOf(scene, found) {
  const {map, index, kind, at, partner} = found;
  const row = Math.floor(map.summit[index] / map.width) + 1, column = (map.summit[index] % map.width) + 1;
  const peak = `${valueText(kind, map.highest[index])} at row ${row}, column ${column} of ${map.height} × ${map.width}`;
  const word = kind === 'word' || partner !== undefined ? scene.drawing.words[partner ?? at] : null;
  const share = word && scene.shareOf(word);
  if (share === null) return `${upper(nameOf(scene, found))}: strongest ${peak}.`;
  const sink = scene.sink;
  return `${quoted(word?.text ?? '')} wins ${percent(share)} of the picture${sink && sink.word === word?.place ? ` and ${percent(sink.edge)} of its edge (an attention sink)` : ''}. Strongest: ${peak}.`;
}

/** @param {string} text */
const upper = (text) => text[0].toUpperCase() + text.slice(1);

/** Where a function word holds the background: what that is. @param {Scene} scene */
export function sinkSentence(scene) {
  const {sink} = scene;
  if (!sink) return null;
  return `${quoted(scene.knownWords[sink.word].text)} holds ${percent(sink.share)} of the picture and ${percent(sink.edge)} of its edge, though it names nothing there: `
    + 'attention must add up to 100 % everywhere, so what no word describes goes to a word that says little (an attention sink).';
}

/** The one sentence about what is pointed at. @param {Scene} scene */
export function speechOf(scene) {
  const {target} = scene;
  const found = target === null ? null : scene.find(target);
  if (found && 'missing' in found) return whyMissing(scene, found);
  const note = found && noteOf(scene, found);
  if (note) return note;
  if (scene.spot && scene.wordMaps && !scene.hot) return whatIsHeard(scene);
  if (found) return leadOf(scene, found);
  if (scene.divided && scene.wordMaps) return 'Every place has the colour of the word that it listens to most.';
  return scene.stage === 0 && scene.drawing.stages.length > 1 && !scene.maps[0].words ? whyDeaf(scene) : '';
}

/** Remarks on the caption: words that were not used, and what the model does not have. @param {Scene} scene */
export function remarksOf(scene) {
  const {words, max_words} = scene.drawing;
  const lines = words.filter((word) => word.place === null && !word.cut).map((word) =>
    `${quoted(word.text)} is not in the vocabulary and was ignored.` + (word.near ? ` Nearest known word: ${quoted(word.near)}.` : ''));
  const cut = words.filter((word) => word.cut).map((word) => quoted(word.text));
  if (cut.length) lines.push(`Only the first ${max_words} known words were drawn. Left out: ${cut.join(', ')}.`);
  const model = scene.hasWordMaps || !scene.complete || scene.drawing.still ? null
    : scene.masks.length ? 'This model does not listen to single words. Each of its blocks draws a mask of where the caption may change the picture: bright is where it may.'
      : scene.hasSentenceMap ? 'This model does not listen to single words: it has no word maps.' : 'This model listens to the caption only as a whole, before it draws: it has no maps.';
  return {lines: [...new Set(lines)], model};
}

/** How to begin. @param {Scene} scene @param {boolean} touch */
export function invitation(scene, touch) {
  if (scene.masks.length) return touch ? 'Tap the number of a mask to see it on the picture.' : 'Hover the number of a mask to see it on the picture; click to pin.';
  if (!scene.hasWordMaps) return '';
  return touch ? 'Tap a word to see where it shaped the picture. Tap the picture to see which words mattered there.'
    : 'Hover a word to see where it shaped the picture; click to pin. Hover the picture to see which words mattered there.';
}
