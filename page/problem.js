/** What an error of the service changes on the page: a message, and options that it does not offer. */

import { languageName } from './languages.js';
import { languageMessage, optionMessage, serviceMessage } from './messages.js';

const OFFERED_LANGUAGES = 3;

/** @typedef {{notices: import('./notices.js').Notices, options: import('./options.js').Options}} Parts */

/**
 * @param {Parts} parts
 * @param {import('./protocol.js').ServiceError} error
 * @param {string} asked the language of the session
 * @param {number} [retryInMs]
 */
export function showProblem({ notices, options }, error, asked, retryInMs) {
  const unknown = optionMessage(error.option ?? '');
  if (error.code === 'unsupported_language') {
    showLanguages({ notices, options }, asked, (error.allowed ?? []).map(String));
  } else if (error.option && unknown) {
    options.withdraw(error.option === 'smart_format' ? 'punctuate' : error.option, error.allowed?.[0]);
    notices.show('service', unknown);
  } else notices.show('service', serviceMessage(error, retryInMs));
}

/** @param {Parts} parts @param {string} asked @param {string[]} allowed */
function showLanguages({ notices, options }, asked, allowed) {
  const actions = allowed.slice(0, OFFERED_LANGUAGES).map((code) => ({
    label: `Use ${languageName(code)}`,
    act: () => options.choose(code),
  }));
  options.limitLanguages(allowed);
  notices.show('service', languageMessage(asked, allowed), { actions });
}
