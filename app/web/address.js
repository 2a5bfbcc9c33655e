// The address of a drawing, and the page's address and title, which follow the last drawing.

/** @import {Drawing} from './types.js' */

const OWN = ['caption', 'seed', 'model'];

/** Parameters of this page with a drawing's caption, seed and model; others, such as a theme, stay.
 * @param {{caption: string, seed: number, model: string}} drawing @param {string} [search] */
export function searchOf({caption, seed, model}, search = '') {
  const query = new URLSearchParams({caption, seed: String(seed), model});
  for (const [name, value] of new URLSearchParams(search)) if (!OWN.includes(name)) query.append(name, value);
  return `?${query}`;
}

/** Address of this page with a drawing. @param {{caption: string, seed: number, model: string}} drawing */
export const linkTo = (drawing) => `${location.origin}${location.pathname}${searchOf(drawing)}`;

/** The page's title for a caption. @param {string} caption */
export const titleOf = (caption) => `${caption.length > 70 ? `${caption.slice(0, 69).trimEnd()}…` : caption} - MirrorGAN`;

/** Lets address and title follow a finished drawing. An example that comes by itself leaves the address as it is.
 * @param {Drawing} drawing */
export function followAddress(drawing) {
  if (!drawing.done || drawing.still || location.origin === 'null') return;
  document.title = titleOf(drawing.caption);
  const here = new URLSearchParams(location.search);
  if (drawing.offered && here.get('caption') !== drawing.caption) return;
  history.replaceState(history.state, '', searchOf(drawing, location.search));
}
