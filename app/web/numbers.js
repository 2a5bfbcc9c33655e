// Numbers as they are written and cut.

/** @param {number} value @param {number} low @param {number} high */
export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/** A share of one as a whole percentage. @param {number} share */
export const percent = (share) => (share > 0 && share < 0.01 ? '<1 %' : `${Math.round(100 * share)} %`);

/** A share of one with two digits that count, as the values of a map have it. @param {number} share */
export function fraction(share) {
  if (share === 0 || share === 1) return `${100 * share} %`;
  if (share < 0.001) return '<0.1 %';
  if (share > 0.99 && share < 1) return '>99 %';
  return share < 0.0995 ? `${(100 * share).toPrecision(2)} %` : `${Math.round(100 * share)} %`;
}

/** Three digits that count. @param {number} value */
export const number = (value) => (value > 0 && value < 0.0001 ? '<0.0001' : value === 0 ? '0' : value.toPrecision(3));

/** The bytes that base64 stands for. @param {string} text */
export const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/** What makes a drawing the same drawing. @param {{caption: string, seed: number, checkpoint: string}} drawing */
export const keyOf = ({caption, seed, checkpoint}) => JSON.stringify([caption, seed, checkpoint]);
