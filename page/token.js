/** The token: taken from the address once, kept for this tab only. */

const KEY = 'live-token';

/** Storage may be switched off; then the token lives as long as the page. */
let held = '';

function stored() {
  try {
    return sessionStorage.getItem(KEY) ?? '';
  } catch {
    return '';
  }
}

/** @param {string} token */
export function keepToken(token) {
  held = token;
  try {
    sessionStorage.setItem(KEY, token);
  } catch {
    held = token;
  }
}

/** The token of `#token=…`, which is removed from the address, else the one kept for this tab; empty when there is none. */
export function takeToken() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const given = fragment.get('token')?.trim();
  if (given) {
    keepToken(given);
    fragment.delete('token');
    const rest = fragment.toString();
    history.replaceState(null, '', location.pathname + location.search + (rest ? `#${rest}` : ''));
  }
  return given || held || stored();
}
