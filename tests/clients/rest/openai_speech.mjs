// openai (npm): transcriptions, of OpenAI's wire or of a door that speaks it.

import { createReadStream } from 'node:fs'

import OpenAI from 'openai'

const { SDK_URL, SDK_KEY, SDK_AUDIO, SDK_EXPECTED, SDK_DOOR } = process.env
let failures = 0

function check(name, passed, detail = '') {
  failures += passed ? 0 : 1
  console.log(`${passed ? 'PASS' : 'FAIL'} ${name}${passed ? '' : `: ${JSON.stringify(detail)}`}`)
}

function ask(options, apiKey = SDK_KEY) {
  const client = new OpenAI({ apiKey, baseURL: `${SDK_URL}/v1`, maxRetries: 0 })
  return client.audio.transcriptions.create({ file: createReadStream(SDK_AUDIO), ...options })
}

const plain = await ask({ model: 'whisper-1' })
check('json', plain.text === SDK_EXPECTED, plain)
const verbose = await ask({
  model: 'whisper-1', response_format: 'verbose_json', timestamp_granularities: ['word'],
})
check('words', verbose.words?.length === SDK_EXPECTED.split(' ').length, verbose)
const refusal = await ask({ model: 'whisper-1' }, 'wrong').catch((error) => error)
check('bad key', refusal instanceof OpenAI.AuthenticationError, refusal)
if (SDK_DOOR === 'true') {
  const srt = await ask({ model: 'whisper-1', response_format: 'srt' })
  check('srt', srt.startsWith('1\n00:00:'), srt)
  let [deltas, done] = ['', undefined]
  for await (const event of await ask({ model: 'gpt-transcribe', stream: true })) {
    if (event.type === 'transcript.text.delta') deltas += event.delta
    else done = event
  }
  check('stream', deltas === SDK_EXPECTED && done?.text === SDK_EXPECTED, { deltas, done })
}
process.exit(failures ? 1 : 0)
