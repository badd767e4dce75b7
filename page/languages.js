/** The 29 languages of the service. */

/** @type {Readonly<Record<string, string>>} code to name */
export const LANGUAGES = {
  ar: 'Arabic', zh: 'Chinese', cs: 'Czech', da: 'Danish', nl: 'Dutch', en: 'English', fi: 'Finnish', fr: 'French',
  de: 'German', el: 'Greek', he: 'Hebrew', hi: 'Hindi', hu: 'Hungarian', id: 'Indonesian', it: 'Italian',
  ja: 'Japanese', ko: 'Korean', ms: 'Malay', no: 'Norwegian', pl: 'Polish', pt: 'Portuguese', ro: 'Romanian',
  ru: 'Russian', es: 'Spanish', sv: 'Swedish', th: 'Thai', tr: 'Turkish', uk: 'Ukrainian', vi: 'Vietnamese',
};

/** @param {string} code */
export const languageName = (code) => LANGUAGES[code] ?? code;

/**
 * Names as a list to read: `English, French and German`.
 * @param {string[]} codes
 */
export function languageList(codes) {
  return new Intl.ListFormat('en-GB', { type: 'conjunction' }).format(codes.map(languageName));
}
