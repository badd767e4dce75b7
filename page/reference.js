/** The page of routes: the OpenAPI document of this very service, written out. */

/** @typedef {Record<string, any>} Node */

const routes = /** @type {HTMLElement} */ (document.getElementById('routes'));
const find = /** @type {HTMLInputElement} */ (document.getElementById('find'));

/**
 * @param {string} name @param {string} text @param {(string | globalThis.Node)[]} inside
 */
function element(name, text, ...inside) {
  const made = document.createElement(name);
  made.append(...(text ? [text] : []), ...inside);
  return made;
}

/** What a reference in the document stands for. @param {Node} whole @param {Node} part @returns {Node} */
function resolve(whole, part) {
  if (typeof part?.$ref !== 'string') return part ?? {};
  const steps = part.$ref.replace('#/', '').split('/');
  return steps.reduce((/** @type {Node} */ at, /** @type {string} */ step) => at?.[step] ?? {}, whole);
}

/** @param {Node} schema */
function kind(schema) {
  const name = [schema.type].flat().filter(Boolean).join(' or ') || 'any';
  const bounds = [schema.format, schema.maxLength && `at most ${schema.maxLength}`, schema.enum?.join(', ')];
  return [name, ...bounds.filter(Boolean)].join(', ');
}

/** @param {string} caption @param {string[][]} rows */
function table(caption, rows) {
  const made = element('table', '', element('caption', caption));
  for (const cells of rows) made.append(element('tr', '', ...cells.map((cell) => element('td', cell))));
  return made;
}

/** The fields of an object. @param {Node} whole @param {Node} schema */
function fields(whole, schema) {
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties ?? {}).map(([name, part]) => {
    const field = resolve(whole, part);
    return [required.has(name) ? `${name} *` : name, kind(field), field.description ?? ''];
  });
}

/** Bodies by their types. @param {Node} whole @param {string} caption @param {Node} content */
function bodies(whole, caption, content) {
  return Object.entries(content ?? {}).map(([type, { schema }]) => {
    const shape = resolve(whole, schema ?? {});
    const rows = fields(whole, shape);
    return table(`${caption}: ${type}`, rows.length ? rows : [[kind(shape)]]);
  });
}

/** @param {Node} whole @param {string} path @param {string} method @param {Node} act */
function operation(whole, path, method, act) {
  const parameters = (act.parameters ?? []).map((/** @type {Node} */ part) => resolve(whole, part));
  const answers = Object.entries(act.responses ?? {}).map(([status, part]) => [status, resolve(whole, part)]);
  const named = parameters.map((/** @type {Node} */ one) => [one.name, one.in, kind(one.schema ?? {}), one.description ?? '']);
  const inside = element('div', '', ...(act.description ? [element('p', act.description)] : []));
  inside.className = 'inside';
  inside.append(...(named.length ? [table('Parameters', named)] : []));
  inside.append(...bodies(whole, 'Takes', resolve(whole, act.requestBody).content));
  inside.append(table('Answers', answers.map(([status, answer]) => [String(status), answer.description ?? ''])));
  for (const [status, answer] of answers) {
    if (String(status).startsWith('2')) inside.append(...bodies(whole, String(status), answer.content));
  }
  const verb = element('span', method.toUpperCase());
  verb.className = 'method';
  const made = element('details', '', element('summary', '', element('code', '', verb, path), element('span', act.summary ?? '')), inside);
  made.dataset.words = `${method} ${path} ${act.summary ?? ''}`.toLowerCase();
  return made;
}

function filter() {
  const wanted = find.value.trim().toLowerCase();
  for (const made of routes.querySelectorAll('details')) made.hidden = !made.dataset.words?.includes(wanted);
}

async function show() {
  const answer = await fetch('/openapi.json');
  if (!answer.ok) throw new Error(`openapi.json: ${answer.status}`);
  const whole = /** @type {Node} */ (await answer.json());
  const all = Object.entries(/** @type {Node} */ (whole.paths)).flatMap(([path, acts]) =>
    Object.entries(/** @type {Node} */ (acts))
      .filter(([method]) => ['get', 'post', 'put', 'delete', 'patch'].includes(method))
      .map(([method, act]) => operation(whole, path, method, act)));
  routes.replaceChildren(...all);
  filter();
}

find.addEventListener('input', filter);
show().catch((error) => routes.replaceChildren(element('p', `The reference cannot be shown: ${error.message}`)));
