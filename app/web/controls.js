// How maps are shown: the controls.

import {colourNames} from './colours.js';
import {make} from './dom.js';
import {changeSettings, followSettings, settings} from './settings.js';

/** @type {['spotlight' | 'heat', string, string][]} */
const MODES = [
  ['spotlight', 'Spotlight', 'The picture goes grey and dark, and only the map has colour'],
  ['heat', 'Heat', 'The map lies over the picture in its own colours'],
];

/** @param {'shared' | 'clear' | 'cut' | 'squares'} name @param {string} label @param {string} title */
function box(name, label, title) {
  const input = make('input', {type: 'checkbox', checked: settings[name], onchange: () => changeSettings({[name]: input.checked})});
  return make('label', {title}, input, ` ${label}`);
}

/** @param {number} number of this group on the page */
export function controls(number) {
  const modes = MODES.map(([mode, label, title]) => {
    const input = make('input', {type: 'radio', name: `mv-mode-${number}`, value: mode, checked: settings.mode === mode, onchange: () => changeSettings({mode})});
    followSettings(() => { input.checked = settings.mode === mode; });
    return make('label', {title}, input, make('span', {}, label));
  });
  const colours = make('select', {onchange: () => changeSettings({colours: colours.value})},
    colourNames.map((name) => make('option', {value: name, selected: name === settings.colours}, name)));
  const opacity = make('input', {type: 'range', min: 0, max: 1, step: 0.05, value: settings.opacity, oninput: () => changeSettings({opacity: Number(opacity.value)})});
  return make('div', {class: 'mv-look', role: 'group', 'aria-label': 'How maps are shown'},
    make('div', {class: 'mv-modes', role: 'radiogroup', 'aria-label': 'Map over the picture'}, modes),
    make('label', {}, 'Colours ', colours), make('label', {}, 'Opacity ', opacity),
    box('shared', 'Same scale for every word', 'All words of a stage have the same ends of the scale'),
    box('clear', 'Fade low values', 'Low values let the picture through'),
    box('cut', 'Clip outliers', 'The highest 1 % of places share the last colour'),
    box('squares', 'Show raw cells', 'Values as they are, not made smooth between places'));
}
